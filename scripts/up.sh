#!/usr/bin/env bash
# Starts the whole system in the foreground. Arguments go to `millrace up`.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/bootstrap.sh
exec .venv/bin/millrace up "$@"
