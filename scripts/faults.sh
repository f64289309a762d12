#!/usr/bin/env bash
# Runs the fault bench on servers of its own: scripts/faults.sh [smoke|full|soak] [seed] [further arguments]
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/bootstrap.sh
export PATH="$PWD/.venv/bin:$PATH"

profile=${1:-smoke}
seed=${2:-}
[ $# -gt 2 ] && shift 2 || shift $#
exec python -m tests.faults --profile "$profile" ${seed:+--seed "$seed"} "$@"
