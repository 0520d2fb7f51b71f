#!/bin/sh
# The part of darwin-rebuild that needs no flake: what is in the profile is activated, listed or taken back.
export PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/nix/var/nix/profiles/default/bin
profile=${NIX_STATE_DIR:-/nix/var/nix}/profiles/system
action=
for argument; do
  case $argument in
    activate | rollback | check) action=$argument ;;
    --list-generations | --rollback) action=${argument#--} ;;
    *)
      echo "darwin-rebuild: unknown or unsupported: $argument" >&2
      exit 1
      ;;
  esac
done
if [ "$action" != list-generations ] && [ "$(id -u)" != 0 ]; then
  echo "$0: system activation must now be run as root" >&2
  exit 1
fi
case $action in
  activate) exec "$profile/activate" ;;
  check) checkActivation=1 exec "$profile/activate" ;;
  rollback)
    nix-env -p "$profile" --rollback || exit 1
    exec "$profile/activate"
    ;;
  list-generations) exec nix-env -p "$profile" --list-generations ;;
  *)
    echo "usage: darwin-rebuild activate|check|rollback|--list-generations" >&2
    exit 1
    ;;
esac
