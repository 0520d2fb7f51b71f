# How a host stands beside what it runs: since when, what failed, what waits for a boot, what was changed by hand. Called by `facts`,
# whose variables it uses. Variables of its own: ask_etc (0|1)
standing() {
  _link=$root/nix/var/nix/profiles/system
  if _name=$(readlink "$_link"); then # GNU and busybox have `stat -c`, BSD and macOS `stat -f`
    _made=$(stat -c %Y "${_link%/*}/$_name" 2>/dev/null) || _made=$(stat -f %m "${_link%/*}/$_name" 2>/dev/null)
    say "standing.since=$_made"
  fi
  failed_units
  if _running=$(resolve "$root/run/current-system") && _booted=$(resolve "$root/run/booted-system"); then
    [ "$_running" = "$_booted" ] || { boot_of booted "$_booted" && boot_of running "$_running"; }
  fi
  [ "$ask_etc" != 1 ] || etc_by_hand
}

# The units that failed; of a Mac those that nix-darwin and home-manager made. Nothing when nobody there knows.
failed_units() {
  if [ "$kernel" = Darwin ]; then
    _units=$(launchctl list 2>/dev/null) || return 0
    say standing.units=1
    printf '%s\n' "$_units" | while read -r _ _code _unit; do
      case $_unit in org.nixos.* | org.nix-community.*) ;; *) continue ;; esac
      [ "$_code" = 0 ] || printf '|unit %s\n' "$_unit"
    done
  else
    _units=$(systemctl list-units --state=failed --plain --no-legend --no-pager 2>/dev/null) || return 0
    say standing.units=1
    printf '%s\n' "$_units" | while read -r _unit _; do
      [ -z "$_unit" ] || printf '|unit %s\n' "$_unit"
    done
  fi
}

# The files under /etc that are not what the system put there. Every link of a system's goes through /etc/static; files with a mode of
# their own are copies. Tests of the shell alone, but where something looks wrong: there may be a thousand files.
etc_by_hand() {
  _static=$root/etc/static
  _meant=$(resolve "$root/run/current-system/etc") && _is=$(resolve "$_static") || return 0
  say standing.etc=1
  [ "$_meant" = "$_is" ] || printf '|etc replaced static\n'
  etc_below ''
}
etc_below() { # FOLDER: nothing, or /a/folder
  for _file in "$_static$1"/* "$_static$1"/.[!.]*; do
    if [ -d "$_file" ] && [ ! -L "$_file" ]; then
      etc_below "$1/${_file##*/}"
    elif [ -e "$_file" ] || [ -L "$_file" ]; then
      case $_file in
        *.mode | *.uid | *.gid) [ ! -e "${_file%.*}" ] || continue ;;
      esac
      etc_file "${1#/}${1:+/}${_file##*/}"
    fi
  done
}
# shellcheck disable=SC3013 # -ef is in every sh that a host may have
etc_file() { # NAME
  _own=$root/etc/$1
  if [ ! -e "$_own" ] && [ ! -L "$_own" ]; then
    printf '|etc missing %s\n' "$1"
  elif [ -e "$_static/$1.mode" ]; then
    IFS= read -r _mode <"$_static/$1.mode"
    if [ "$_mode" = direct-symlink ]; then
      [ "$_own" -ef "$_static/$1" ] || printf '|etc replaced %s\n' "$1"
    elif [ -r "$_own" ] && has cmp; then
      cmp -s "$_own" "$_static/$1" || printf '|etc changed %s\n' "$1"
    fi
  elif ! { [ -L "$_own" ] && [ "$_own" -ef "$_static/$1" ]; } && [ "$(readlink "$_own")" != "$_static/$1" ]; then
    printf '|etc replaced %s\n' "$1"
  fi
}
