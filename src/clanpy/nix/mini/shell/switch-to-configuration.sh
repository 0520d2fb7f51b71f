#!/bin/sh
# Exit codes as of the real one: 0 done, 1 usage or boot loader, 2 activation failed, 4 units failed, 11 somebody else is at it.
out=@out@
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
export LC_ALL=C
action=${1:-}

case $action in
  switch | boot | test | dry-activate | check) ;;
  *)
    echo "Usage: $0 [check|switch|boot|test|dry-activate]" >&2
    exit 1
    ;;
esac
if [ ! -e /etc/NIXOS ] && ! grep -qs '^ID="\{0,1\}nixos"\{0,1\}$' /etc/os-release; then
  echo "This is not a NixOS installation!" >&2
  exit 1
fi
[ "$action" != check ] || exit 0

[ -d /run/nixos ] || mkdir -p /run/nixos
exec 9>/run/nixos/switch-to-configuration.lock
if ! flock -n 9; then
  echo "Could not acquire lock" >&2
  exit 11
fi

install_boot_entries() {
  profiles=${NIX_STATE_DIR:-/nix/var/nix}/profiles
  [ -d /boot/loader/entries ] || mkdir -p /boot/loader/entries || return 1
  default=nixos-mini.conf
  current=$(readlink "$profiles/system")
  for entry in /boot/loader/entries/nixos-generation-*.conf; do
    number=${entry##*-}
    [ -L "$profiles/system-${number%.conf}-link" ] || rm -f "$entry"
  done
  for link in "$profiles"/system-*-link; do
    [ -L "$link" ] || continue
    number=${link##*/system-}
    number=${number%-link}
    entry=/boot/loader/entries/nixos-generation-$number.conf
    # what a generation is never changes, but the number of the last one may be given anew
    if [ "$current" = "${link##*/}" ] || [ ! -e "$entry" ]; then
      boot_entry "${entry##*/}" "$(readlink "$link")" "$number" || return 1
    fi
    if [ "$current" = "${link##*/}" ] && [ "$(readlink "$link")" = "$out" ]; then
      default=nixos-generation-$number.conf
    fi
  done
  [ "$default" != nixos-mini.conf ] || boot_entry nixos-mini.conf "$out" 0 || return 1
  printf 'timeout 5\ndefault %s\n' "$default" >/boot/loader/loader.conf.new &&
    mv -f /boot/loader/loader.conf.new /boot/loader/loader.conf
}

boot_entry() { # FILE SYSTEM NUMBER
  printf 'title NixOS\nversion Generation %s %s\nlinux %s\noptions init=%s/init\n' \
    "$3" "$(cat "$2/nixos-version" 2>/dev/null)" "$2/kernel" "$2" >"/boot/loader/entries/$1.new" &&
    mv -f "/boot/loader/entries/$1.new" "/boot/loader/entries/$1"
}

# Units by what becomes of them, one name a line: those in LIST of one system that the other lacks, or has otherwise.
unit_names() { # SYSTEM
  [ ! -e "$1/units" ] || cat "$1/units"
}
same_unit() { # NAME
  cmp -s "$old/etc/systemd/system/$1" "$out/etc/systemd/system/$1" &&
    { [ ! -e "$out/oneshots/$1" ] || cmp -s "$old/oneshots/$1" "$out/oneshots/$1"; }
}
gone_units() {
  unit_names "$old" | while IFS= read -r unit; do
    grep -qxF -- "$unit" "$out/units" || echo "$unit"
  done
}
due_units() {
  unit_names "$out" | while IFS= read -r unit; do
    if ! same_unit "$unit" || grep -qsxF -- "$unit" /run/nixos/failed-units; then echo "$unit"; fi
  done
}
listed() { # WORDS… : with commas
  echo "$*" | sed 's/ /, /g'
}

start_unit() { # NAME
  if [ -d /run/systemd/system ]; then
    systemctl restart "$1" 9>&-
  elif [ -e "$out/oneshots/$1" ]; then
    "$out/oneshots/$1" 9>&-
  fi
}

ssh_changed() {
  ! cmp -s "$old/etc/ssh/sshd_config.d/10-mini.conf" "$out/etc/ssh/sshd_config.d/10-mini.conf" &&
    { [ -e "$old/etc/ssh/sshd_config.d/10-mini.conf" ] || [ -e "$out/etc/ssh/sshd_config.d/10-mini.conf" ]; }
}
reload_ssh() {
  [ -x /usr/sbin/sshd ] || return 0
  [ -d /run/systemd/system ] || [ -e /run/sshd.pid ] || return 0
  [ -d /run/sshd ] || mkdir -p /run/sshd
  /usr/sbin/sshd -t || return 1
  if [ -d /run/systemd/system ]; then
    systemctl reload ssh 9>&-
  elif [ -e /run/sshd.pid ]; then
    kill -HUP "$(cat /run/sshd.pid)"
  fi
}

if [ "$action" = switch ] || [ "$action" = boot ]; then
  echo "updating the boot loader" >&2
  install_boot_entries || {
    echo "Failed to install bootloader" >&2
    exit 1
  }
fi
[ "$action" != boot ] || exit 0

# a name that stays empty: /run/current-system itself would be the new system by the time that it is compared
old=$(readlink -e /run/current-system) || old=/var/empty/no-system
gone=$(gone_units)
due=$(due_units)

if [ "$action" = dry-activate ]; then
  # shellcheck disable=SC2086 # unit names hold no spaces
  {
    [ -z "$gone" ] || echo "would stop the following units: $(listed $gone)" >&2
    echo "would activate the configuration..." >&2
    [ -z "$due" ] || echo "would start the following units: $(listed $due)" >&2
  }
  exit 0
fi

result=0
failed=
if [ -n "$gone" ]; then
  # shellcheck disable=SC2086
  echo "stopping the following units: $(listed $gone)" >&2
  if [ -d /run/systemd/system ]; then
    for unit in $gone; do systemctl stop "$unit" 9>&-; done
  fi
fi

echo "activating the configuration..." >&2
NIXOS_ACTION=$action "$out/activate" 9>&- || result=2

[ ! -d /run/systemd/system ] || systemctl daemon-reload 9>&-
if [ -n "$due" ]; then
  # shellcheck disable=SC2086
  echo "starting the following units: $(listed $due)" >&2
  for unit in $due; do
    start_unit "$unit" || failed="$failed $unit"
  done
fi
if ssh_changed; then
  echo "reloading the following units: sshd.service" >&2
  reload_ssh || failed="$failed sshd.service"
fi
: >/run/nixos/failed-units
if [ -n "$failed" ]; then
  # shellcheck disable=SC2086
  printf '%s\n' $failed >/run/nixos/failed-units
  # shellcheck disable=SC2086
  echo "warning: the following units failed: $(listed $failed)" >&2
  result=4
fi
exit "$result"
