#!/usr/bin/env bash
# Writes requirements.lock anew from the dependencies of both distributions (needs uv).
set -euo pipefail
cd "$(dirname "$0")/.."

uv=$(command -v uv || true)
if [ -z "$uv" ]; then
    echo "uv is needed to write the lock: run 'pip install uv' and try again." >&2
    exit 1
fi
# The two distributions themselves stay out: they are installed from the checkout.
"$uv" pip compile pyproject.toml packaging/server/pyproject.toml --extra dev \
    --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-emit-find-links --no-header --no-annotate \
    --no-emit-package millrace --no-emit-package millrace-server \
    --quiet --output-file requirements.lock "$@"
