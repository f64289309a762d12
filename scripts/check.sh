#!/usr/bin/env bash
# Everything that can be said about the code without running it. Arguments choose: format lint types layers (default: all).
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/bootstrap.sh
export PATH="$PWD/.venv/bin:$PATH"

[ $# -gt 0 ] || set -- format lint types layers
for part in "$@"; do
    echo "== $part"
    case $part in
        format) ruff format --check . ;;
        lint) ruff check . ;;
        types) mypy ;;
        layers) lint-imports ;;
        *) echo "Unknown part '$part': choose from format, lint, types, layers." >&2; exit 1 ;;
    esac
done
