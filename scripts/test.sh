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

# On a machine that others use, too, a test may fail for what happens beside it. There, where CI is set, it is run once more by itself
# and the log says so: what fails twice fails, and what does not has a fault all the same, which waits to be found.
tested() {
    local failed=0
    python -m pytest "$@" || failed=$?
    if [ "$failed" != 1 ] || [ -z "${CI:-}" ]; then
        return "$failed"
    fi
    echo "== Once more, by itself: what failed above" >&2
    python -m pytest "$@" -n 0 --last-failed --last-failed-no-failures none --maxfail 1
}

# Whole files go to one process each, so that what a module shares is made once. The tests made from the document all
# have one name, by which several processes would take them for one test. The last two parts run the service in processes
# of its own.
document=tests/integration/test_schemathesis.py
within=(-n 3 --dist loadfile tests/unit tests/contract tests/integration --ignore "$document")
if [ "${1:-}" = coverage ]; then
    exec python -m pytest "${within[@]}" --cov --cov-report=term:skip-covered --cov-fail-under=85
fi
if [ $# -gt 0 ]; then
    tested "$@"
    exit
fi
tested "${within[@]}"
tested "$document"
tested -n 2 --dist loadfile tests/e2e
tested -n 2 --dist loadfile -m "not soak" tests/faults
