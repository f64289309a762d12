#!/usr/bin/env bash
# Stops the test services and removes what the other scripts made inside the checkout.
set -euo pipefail
cd "$(dirname "$0")/.."
infra/services.sh stop
rm -rf .venv build dist htmlcov .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis \
    benchmarks/out benchmarks/.venvs tests/faults/out
find . -name __pycache__ -type d -prune -exec rm -rf {} +
