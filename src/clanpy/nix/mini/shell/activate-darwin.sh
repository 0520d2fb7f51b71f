#!/bin/sh
systemConfig=@out@
export PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 022
_status=0

if [ "$(id -u)" != 0 ]; then
  echo "error: \`activate\` must be run as root" >&2
  exit 2
fi
if [ "$(uname -s)" != Darwin ]; then
  echo "error: this is not a Mac" >&2
  exit 2
fi

@functions@

snippet_done() { # NAME CODE
  if [ "$2" != 0 ]; then
    echo "error: activation script '$1' failed ($2)" >&2
    exit "$2"
  fi
}

@snippets@

have_folder /run
have_folder "${NIX_STATE_DIR:-/nix/var/nix}/gcroots"
atomic_link "$systemConfig" /run/current-system
atomic_link /run/current-system "${NIX_STATE_DIR:-/nix/var/nix}/gcroots/current-system"
exit "$_status"
