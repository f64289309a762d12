#!/usr/bin/env bash
# Runs the tests on real services. Arguments go to pytest; without any, the whole suite runs with coverage.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/bootstrap.sh
infra/services.sh start
services=$(infra/services.sh env)
eval "$services"
export PATH="$PWD/.venv/bin:$PATH"

case "${*:-browser}" in
    *browser*|*tests/integration|*tests/integration/live*|*tests/e2e|*benchmark_live*) scripts/browser.sh; scripts/react.sh ;;
esac
if [ $# -gt 0 ]; then
    exec python -m pytest "$@"
fi
# Whole files go to one process each, so that what a module shares is made once. The last part runs the service in
# processes of its own, which coverage does not see. The tests made from the document all have one name, by which several
# processes would take them for one test.
document=tests/integration/test_schemathesis.py
python -m pytest -n 2 --dist loadfile tests/unit tests/contract tests/integration --ignore "$document" \
    --cov --cov-report=term:skip-covered --cov-fail-under=85
python -m pytest "$document"
python -m pytest -n 2 --dist loadfile tests/e2e
exec python -m pytest -n 2 --dist loadfile -m "not soak" tests/faults
