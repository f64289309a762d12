#!/usr/bin/env bash
# Makes .venv from requirements.lock, with the checkout itself installed in place. A second run returns at once.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() { echo "$1" >&2; exit 1; }

# A virtual environment has absolute paths inside, so a moved checkout needs a new one.
key="$(cat requirements.lock pyproject.toml | cksum) $PWD"
stamp=.venv/millrace-stamp
[ -x .venv/bin/python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$key" ] && exit 0

python=
for candidate in ${PYTHON:-} python3 python3.14 python3.13 python3.12 python3.11; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
[ -n "$python" ] || fail "Python 3.11 or newer is needed: run 'apt-get install python3 python3-venv' or set PYTHON to an interpreter."
"$python" -c 'import ensurepip, venv' 2>/dev/null \
    || fail "Python's venv module is missing: run 'apt-get install python3-venv' and try again."

echo "Installing the dependencies into .venv ($("$python" --version)); this takes a minute the first time."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
run() {
    "$@" >"$log" 2>&1 && return
    cat "$log" >&2
    if grep -qiE 'Failed to establish|Temporary failure|Name or service not known|timed out|No matching distribution' "$log"; then
        fail "The package index cannot be reached: check the network (or PIP_INDEX_URL) and run 'make' again."
    fi
    fail "The installation failed (the reason is above): remove it with 'make clean' and try again."
}
rm -f "$stamp"
run "$python" -m venv --clear .venv
# The lock is complete, so pip resolves nothing: left to itself, it takes the newest release for `coverage[toml]`, which
# has no hash here, although `coverage` is pinned.
run .venv/bin/python -m pip install --disable-pip-version-check --no-input --require-hashes --no-deps -r requirements.lock
run .venv/bin/python -m pip install --disable-pip-version-check --no-input --no-index --no-deps --no-build-isolation -e .
printf '%s' "$key" >"$stamp"
