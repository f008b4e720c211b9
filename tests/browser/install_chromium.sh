#!/bin/sh
# A browser for the tests: the one that is there, else Debian's, else a plain sentence. PHASENB_TEST_CHROMIUM names one.
set -u
for browser in "${PHASENB_TEST_CHROMIUM:-}" chromium chromium-browser google-chrome; do
    [ -n "$browser" ] && command -v "$browser" >/dev/null 2>&1 && exit 0
done
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "Installing Chromium for the browser tests"
    export DEBIAN_FRONTEND=noninteractive
    if apt-get update -qq >/dev/null && apt-get install -y -qq chromium fonts-dejavu-core >/dev/null; then
        exit 0
    fi
fi
echo "The browser tests need Chromium and none was found: install it (Debian: apt-get install chromium)," >&2
echo "or set PHASENB_TEST_CHROMIUM to its path." >&2
exit 1
