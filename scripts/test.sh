#!/usr/bin/env bash
# Runs the tests on real services. Arguments go to pytest; without any, the whole suite runs with coverage.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/bootstrap.sh
infra/services.sh start
services=$(infra/services.sh env)
eval "$services"
export PATH="$PWD/.venv/bin:$PATH"

[ $# -gt 0 ] || set -- -m "not soak" --cov --cov-report=term
exec python -m pytest "$@"
