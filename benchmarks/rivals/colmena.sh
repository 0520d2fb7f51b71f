#!/bin/sh
# What colmena does to one host for `apply switch`, from the copy on: each step is a process, and a login, of its own.
# colmena.sh HOST PATH; from the environment: SSH_CONFIG COMPRESS
set -eu
host=$1 new=$2
ssh="ssh -F $SSH_CONFIG -o StrictHostKeyChecking=accept-new -o BatchMode=yes -T"
export NIX_SSHOPTS="${ssh#ssh }"

nix copy --extra-experimental-features nix-command --no-check-sigs --substitute-on-destination \
  --to "ssh-ng://root@$host${COMPRESS:+?compress=true}" "$new"
$ssh "root@$host" -- nix-env --profile /nix/var/nix/profiles/system --set "$new"
$ssh "root@$host" -- "$new/bin/switch-to-configuration" switch
