#!/bin/sh
# On a host: back to one system, with nothing left of any other. reset.sh SYSTEM
set -e
profile=/nix/var/nix/profiles/system
[ "$(readlink -f /run/current-system)" = "$1" ] || "$1/bin/switch-to-configuration" test >/dev/null
rm -rf /var/lib/clanpy /nix/var/nix/gcroots/clanpy "$profile" "$profile"-*-link
nix-env -p "$profile" --set "$1"
rm -rf /tmp/deploy-rs-canary-*
nix-store --gc >/dev/null 2>&1
