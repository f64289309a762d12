#!/usr/bin/env bash
# Writes the generated documents anew. Arguments go to the generator: --check only tells which are stale.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/bootstrap.sh
export PATH="$PWD/.venv/bin:$PATH"

exec python -m infra.documents "$@"
