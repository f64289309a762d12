#!/usr/bin/env bash
# Runs the benchmarks on real services. Arguments go to `python -m benchmarks`.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/bootstrap.sh
infra/services.sh start
services=$(infra/services.sh env)
eval "$services"
exec .venv/bin/python -m benchmarks "$@"
