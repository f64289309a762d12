#!/usr/bin/env bash
# Runs the tests on real services. Arguments go to pytest; without any, the whole suite runs. The first argument
# `coverage` runs what coverage can see instead, which takes a third longer than without it.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/bootstrap.sh
infra/services.sh start
services=$(infra/services.sh env)
eval "$services"
export PATH="$PWD/.venv/bin:$PATH"

case "${*:-browser}" in
    coverage | *browser*|*tests/integration|*tests/integration/live*|*tests/e2e|*benchmark_live*) scripts/browser.sh; scripts/react.sh ;;
esac
# Whole files go to one process each, so that what a module shares is made once. The tests made from the document all
# have one name, by which several processes would take them for one test. The last two parts run the service in processes
# of its own.
document=tests/integration/test_schemathesis.py
within=(-n 3 --dist loadfile tests/unit tests/contract tests/integration --ignore "$document")
if [ "${1:-}" = coverage ]; then
    exec python -m pytest "${within[@]}" --cov --cov-report=term:skip-covered --cov-fail-under=85
fi
if [ $# -gt 0 ]; then
    exec python -m pytest "$@"
fi
python -m pytest "${within[@]}"
python -m pytest "$document"
python -m pytest -n 2 --dist loadfile tests/e2e
exec python -m pytest -n 2 --dist loadfile -m "not soak" tests/faults
