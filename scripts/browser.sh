#!/usr/bin/env bash
# Makes sure that there is a browser for the tests of the web components: as root it installs Debian's Chromium.
# Without one and without the right to install it, those tests are skipped and say so.
set -euo pipefail

for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null; then exit 0; fi
done
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "There is no Chromium: the tests in a browser are skipped. Install it with 'apt-get install chromium'." >&2
    exit 0
fi
log=$(mktemp)
echo "Installing chromium."
export DEBIAN_FRONTEND=noninteractive
if ! { timeout 120 apt-get update &&
    timeout 600 apt-get -o DPkg::Lock::Timeout=60 install -y --no-install-recommends chromium; } </dev/null >"$log" 2>&1; then
    echo "apt-get could not install chromium: see $log." >&2
    exit 1
fi
rm -f "$log"
