# What a host is and what it runs: one round trip, nothing changed, no process started that can be done without.
# Variables: accounts (names, space between), ask_nix (0|1), ask_elevation (0|1), ask_standing (0|1), specialisation (a name, or nothing)
say "protocol=1"
uid=$(own_number)
say "uid=$uid"
say "user=$(id -un)"
# shellcheck disable=SC2046 # three words: system, release, machine
set -- $(uname -srm)
kernel=$1
say "kernel=$1"
say "release=$2"
say "machine=$3"

class=linux
[ ! -e "$root/etc/NIXOS" ] || class=nixos
[ ! -e "$root/run/current-system/nixos-version" ] || class=nixos
[ "$kernel" != Darwin ] || class=darwin
say "class=$class"

link() { # KEY PATH: say where a symlink leads, if it leads anywhere
  ! _path=$(resolve "$2") || say "$1=$_path"
}
generation() { # KEY PROFILE: say the number of a profile's generation
  _number=$(readlink "$2") || return 0
  _number=${_number%-link}
  _number=${_number##*-}
  case $_number in '' | *[!0-9]*) ;; *) say "$1=$_number" ;; esac
}
link running "$root/run/current-system"
link booted "$root/run/booted-system"
link profile "$root/nix/var/nix/profiles/system"
generation generation "$root/nix/var/nix/profiles/system"
[ -z "$specialisation" ] || link special "$root/nix/var/nix/profiles/system/specialisation/$specialisation"
say "boot=$this_boot"
say "clock=$(date +%s)"

df -Pk "$root/nix/store" 2>/dev/null | {
  read -r _ && read -r _ _ _ free _ && say "free_kib=$free"
}

if nix=$(command -v nix); then
  say "nix=$nix"
  # A nix that lies in the store has its version in its path; to ask it costs 20 ms.
  store=$(resolve_file "$nix")
  store=${store%/bin/*}
  case $store in
    *-nix-[0-9]*) say "nix_version=${store##*-nix-}" ;;
    *) [ "$ask_nix" != 1 ] || { version=$(nix --version 2>/dev/null) && say "nix_version=${version##* }"; } ;;
  esac
fi

if [ "$uid" = 0 ]; then
  say "elevation=root"
elif [ "$ask_elevation" = 1 ]; then
  elevation=none
  for tool in sudo doas run0; do
    has "$tool" || continue
    [ "$elevation" != none ] || elevation=$tool-password
    case $tool in
      run0) set -- run0 --no-ask-password --pipe true ;;
      *) set -- "$tool" -n true ;;
    esac
    if "$@" </dev/null >/dev/null 2>&1; then
      elevation=$tool
      break
    fi
  done
  say "elevation=$elevation"
fi

places 0
system=$vault
lock_find
if lock_is_held; then show @lock. "$locks/lock.$top"; fi

failures() { # VAULT: the paths that failed, of each slot, with why
  _count=0
  for _bad in "$1"/failed/*/*; do
    [ -r "$_bad" ] || continue
    _slot=${_bad%/*}
    _count=$((_count + 1))
    show "@bad.${_slot##*/}.$_count." "$_bad"
  done
}
record() { # VAULT: the latest run of each slot (the system, each account's home), whether its guard still works, the way back
  for _back in "$1"/back.*; do
    [ ! -r "$_back" ] || show "@back.${_back##*/back.}." "$_back"
  done
  for _latest in "$1"/latest.*; do
    [ -r "$_latest" ] || continue
    _slot=${_latest##*/latest.}
    IFS= read -r _run <"$_latest"
    _dir=$1/runs/$_run
    [ -d "$_dir" ] || continue
    say "run.$_slot.id=$_run"
    for _file in public previous state result; do
      show "@run.$_slot." "$_dir/$_file"
    done
    [ ! -e "$_dir/result" ] || continue
    file_lives "$_dir/state" || continue
    say "run.$_slot.alive=1"
    # the lock of the controller that started it, which lives as long as its connection
    file_lives "$locks/back.$(field "$_dir/state" pid)" && say "run.$_slot.watched=1"
  done
}
record "$vault"
failures "$vault"

# The secrets that were delivered, by a digest that says nothing to others. Those in memory are gone after a reboot.
if [ -e "$vault/secrets/current/here" ] && [ -r "$vault/secrets/current/digest" ]; then
  IFS= read -r digest <"$vault/secrets/current/digest" && say "secrets=$digest"
fi
places "$uid"
[ "$vault" = "$system" ] || { record "$vault" && failures "$vault"; }

for account in $accounts; do
  home=$(home_of "$account")
  case $home in
    /*) ;;
    *) say "home.$account.missing=1" && continue ;;
  esac
  say "home.$account.home=$root$home"
  home=$root$home
  if [ -d "$home" ] && ! [ -x "$home" ]; then
    say "home.$account.unreadable=1"
    continue
  fi
  profile=$(home_profile "$account" "$home")
  link "home.$account.running" "$home/.local/state/home-manager/gcroots/current-home"
  link "home.$account.profile" "$profile"
  generation "home.$account.generation" "$profile"
done
[ "$ask_standing" != 1 ] || standing
say "end=facts"
