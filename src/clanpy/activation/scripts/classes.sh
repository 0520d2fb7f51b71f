# What "make it live" means on NixOS, on darwin and for a home. From the guard: class kind account person home profile backup
# bootloader me root roots.

running() {
  if [ "$kind" = system ]; then
    resolve "$root/run/current-system"
  else
    resolve "$home/.local/state/home-manager/gcroots/current-home" || resolve "$profile"
  fi
}

as_account() { # COMMAND...: as the account whose home it is, with an environment that has nothing of ours
  _uid=$(id -u "$account")
  set -- env -i HOME="$home" USER="$account" LOGNAME="$account" PATH="$home/.nix-profile/bin:$PATH" \
    ${root:+CLANPY_ROOT="$root"} ${backup:+HOME_MANAGER_BACKUP_EXT="$backup"} ${NIX_REMOTE:+NIX_REMOTE="$NIX_REMOTE"} \
    XDG_RUNTIME_DIR="/run/user/$_uid" "$@"
  if [ "$me" = "$_uid" ]; then
    "$@"
  elif has launchctl; then
    launchctl asuser "$_uid" sudo -n -u "$account" -- "$@"
  elif has runuser; then
    runuser -u "$account" -- "$@"
  else
    # shellcheck disable=SC2016 # for the shell that su starts
    su -s /bin/sh "$account" -c 'exec "$0" "$@"' -- "$@"
  fi
}

# Darwin systems from before 2025 do a part of their activation as the person who uses the machine.
activate_person() { # PATH
  [ -x "$1/activate-user" ] && ! grep -q '^# nix-darwin: deprecated$' "$1/activate-user" || return 0
  [ -n "$person" ] || person=$(stat -f %Su /dev/console 2>/dev/null) || person=
  if [ -z "$person" ] || [ "$person" = root ]; then
    echo "clanpy: activate-user was not run: nobody is known to be the primary user"
  else
    sudo -n -H -u "$person" -- "$1/activate-user"
  fi
}

activate() { # PATH: make it live, for this boot only
  cd / || return
  case $class in
    nixos) NIXOS_INSTALL_BOOTLOADER=0 "$1/bin/switch-to-configuration" test ;;
    darwin) activate_person "$1" && "$1/activate" ;;
    home) as_account "$1/activate" --driver-version 1 ;;
  esac
}

nix_env() {
  if [ "$kind" = home ]; then
    as_account mkdir -p "${profile%/*}" && as_account nix-env "$@"
  else
    { [ -d "${profile%/*}" ] || mkdir -p "${profile%/*}"; } && nix-env "$@"
  fi
}

# Point the profile to a path. One that points there already is left alone: Nix would make no generation, so nothing may count on
# one. A generation that still holds the path is switched to, so that going back makes no new ones.
set_profile() { # PATH GENERATION
  [ "$(resolve "$profile")" != "$1" ] || return 0
  if [ -n "$2" ] && [ "$(resolve "$profile-$2-link")" = "$1" ]; then
    nix_env -p "$profile" --switch-generation "$2"
  else
    nix_env -p "$profile" --set "$1"
  fi
}

# Make a path what the next boot brings. (macOS boots the profile.) Where a system brings `apply`, that is how it wants it done; for
# `test` it is not asked, because whatever the activation ends with, apply ends with 1.
boot_entry() { # PATH
  [ "$class" = nixos ] || return 0
  if [ -x "$1/bin/apply" ]; then
    set -- "$1/bin/apply" boot --profile "$profile"
    [ "$bootloader" != 1 ] || set -- "$@" --install-bootloader
    "$@"
  else
    NIXOS_INSTALL_BOOTLOADER=$bootloader "$1/bin/switch-to-configuration" boot
  fi
}

# A home whose files are in the way of others says so before it changes anything. Ask it: fails with what it said when that is so.
nothing_in_the_way() { # PATH
  _said=$(as_account env DRY_RUN=1 "$1/activate" --driver-version 1 2>&1) && return 0
  case $_said in *"Activating writeBoundary"* | *"Activating linkGeneration"*) return 0 ;; esac
  printf '%s\n' "$_said"
  return 1
}

# Keep a path from being collected as garbage for as long as the link stays.
keep_path() { # FOLDER NAME PATH
  if [ "$me" = 0 ]; then
    { [ -d "$roots/$1" ] || mkdir -p "$roots/$1"; } && ln -sfn "$3" "$roots/$1/$2"
  else # an account asks the daemon, which keeps what a link of the account's points to
    mkdir -p "$roots/$1" && nix-store --realise "$3" --add-root "$roots/$1/$2" --indirect >/dev/null
  fi
}
