#!/usr/bin/env bash
# Installs the Debian packages that are named. Exit code 3, and nothing done, where that is not for us: no root, no Debian.
set -euo pipefail

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then exit 3; fi
log=$(mktemp)
echo "Installing $*."
export DEBIAN_FRONTEND=noninteractive
if ! { timeout 120 apt-get update &&
    timeout 600 apt-get -o DPkg::Lock::Timeout=60 install -y --no-install-recommends "$@"; } </dev/null >"$log" 2>&1; then
    echo "apt-get could not install $*: see $log." >&2
    exit 1
fi
rm -f "$log"
