#!/bin/sh
# What deploy-rs does to one host for a switch with its magic rollback, from the copy on: a copy and three logins. The activation makes a
# canary and waits until somebody removes it; a second login waits for the canary; a third removes it, which is the confirmation.
# Its helper on the host is a program of its own; here pipes with names do what it does by watching files, and nothing is looked at twice.
# deploy-rs.sh HOST PATH; from the environment: SSH_CONFIG
set -eu
host=$1 new=$2
ssh="ssh -F $SSH_CONFIG"
export NIX_SSHOPTS="-F $SSH_CONFIG"
canary=/tmp/deploy-rs-canary-${new#/nix/store/}

nix copy --extra-experimental-features nix-command --no-check-sigs --substitute-on-destination --to "ssh://root@$host" "$new"
$ssh "root@$host" "
  set -e
  nix-env -p /nix/var/nix/profiles/system --set $new
  cd /tmp
  $new/bin/switch-to-configuration switch
  mkfifo $canary
  mkfifo $canary.made 2>/dev/null || test -p $canary.made
  echo > $canary.made
  read -r removed < $canary || :" &
activation=$!
$ssh "root@$host" "
  mkfifo $canary.made 2>/dev/null || test -p $canary.made
  read -r made < $canary.made || :"
$ssh "root@$host" "echo > $canary && rm $canary $canary.made"
wait $activation
