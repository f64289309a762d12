#!/usr/bin/env bash
# Makes sure that there is a React for the tests of its bindings, and a compiler for their types: from npm into .venv/react,
# nothing of it belongs to the product. As root it installs npm where there is none. Without npm and without the right to
# install it, those tests are skipped and say so.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v npm >/dev/null; then
    scripts/packages.sh nodejs npm || {
        [ $? = 3 ] || exit 1
        echo "There is no npm: the tests with React are skipped. Install it with 'apt-get install npm'." >&2
        exit 0
    }
fi

# npm trusts what it brings along only, not what the system trusts besides.
system=/etc/ssl/certs/ca-certificates.crt
if [ -z "${NODE_EXTRA_CA_CERTS:-}" ] && [ -r "$system" ]; then export NODE_EXTRA_CA_CERTS=$system; fi

# The oldest that the bindings are for, and the newest. A finished folder is renamed into place, so that half of one is none.
while read -r folder packages; do
    [ -d ".venv/react/$folder" ] && continue
    echo "Fetching $packages."
    mkdir -p .venv/react
    made=$(mktemp -d ".venv/react/making-XXXXXX")
    # shellcheck disable=SC2086 # several names
    timeout 300 npm install --prefix "$made" --no-save --no-package-lock --ignore-scripts --no-audit --no-fund \
        --fetch-retries 2 --fetch-timeout 60000 --loglevel error $packages </dev/null
    mv "$made" ".venv/react/$folder"
done <<'VERSIONS'
18 react@18.3.1 react-dom@18.3.1
19 react@19.3.1 react-dom@19.3.1 @types/react@19.3.0 typescript@5.9.3
VERSIONS
