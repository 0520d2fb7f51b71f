#!/bin/sh
# The steps of colmena.sh, all of them over one connection that OpenSSH holds for as long as the host is worked on.
# master.sh HOST PATH; from the environment: SSH_CONFIG OUT
set -eu
host=$1 new=$2
way="-F $SSH_CONFIG -o ControlPath=$OUT/$host"
export NIX_SSHOPTS="$way -o ControlMaster=no -o BatchMode=yes -T"

ssh $way -o ControlMaster=yes -o ControlPersist=yes -f -N "root@$host"
trap 'ssh $way -O exit "root@$host" 2>/dev/null' EXIT
nix copy --extra-experimental-features nix-command --no-check-sigs --substitute-on-destination --to "ssh-ng://root@$host" "$new"
ssh $NIX_SSHOPTS "root@$host" -- nix-env --profile /nix/var/nix/profiles/system --set "$new"
ssh $NIX_SSHOPTS "root@$host" -- "$new/bin/switch-to-configuration" switch
