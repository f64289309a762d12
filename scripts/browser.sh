#!/usr/bin/env bash
# Makes sure that there is a browser for the tests of the web components: as root it installs Debian's Chromium.
# Without one and without the right to install it, those tests are skipped and say so.
set -euo pipefail
cd "$(dirname "$0")/.."

for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null; then exit 0; fi
done
scripts/packages.sh chromium || {
    [ $? = 3 ] || exit 1
    echo "There is no Chromium: the tests in a browser are skipped. Install it with 'apt-get install chromium'." >&2
}
