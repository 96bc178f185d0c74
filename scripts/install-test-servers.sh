#!/bin/sh
# Install the real servers that the end-to-end tests and benchmarks start for themselves.
# Debian or Ubuntu, as root. Without them those tests are skipped by name.
# On a machine with an init system the packages start services of their own; the tests
# use private instances on other ports and do not need these: stop them if you like.
set -eu

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "$0: needs root and apt-get; run: sudo $0" >&2
    exit 1
fi

apt-get update -q
DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends \
    dovecot-imapd postgresql isync
