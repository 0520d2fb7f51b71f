# Stands before every script that clanpy sends to a host. POSIX sh: dash, bash, busybox ash, macOS's sh.
# CLANPY_ROOT and CLANPY_SH are empty on a host; tests set them to a folder and a shell of their own. Lines for clanpy begin with
# "@"; anything else is noise.
root=${CLANPY_ROOT:-} sh=${CLANPY_SH:-/bin/sh}
PATH=${PATH:+$PATH:}$root/run/current-system/sw/bin:$root/run/wrappers/bin:$root/nix/var/nix/profiles/default/bin
PATH=$PATH:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin
export PATH
umask 022

# Root keeps things where the system does; an account that may not become root keeps them in its own home.
# The lock is under /var/run, which every system has (on Linux it is /run; macOS has no /run before nix-darwin makes one).
places() { # UID
  if [ "$1" = 0 ]; then
    vault=$root/var/lib/clanpy locks=$root/var/run/clanpy roots=$root/nix/var/nix/gcroots/clanpy
  else
    vault=${XDG_STATE_HOME:-$HOME/.local/state}/clanpy
    locks=$vault/lock roots=$vault/roots
  fi
}

say() { printf '@%s\n' "$1"; }

has() { command -v "$1" >/dev/null 2>&1; }

# Is there a launchd, and would a job of it have all rights to files that we have? Only who has Full Disk Access can open that file.
has_launchd() {
  has launchctl && [ "$(uname)" = Darwin ] || return 1
  ! { true <"$root/Library/Application Support/com.apple.TCC/TCC.db"; } 2>/dev/null
}

# The folder that a chain of symlinks leads to; fails when there is none. Builtins alone: `readlink` would be a process a link, and
# macOS before 12.3 has no readlink -f.
resolve() { CDPATH='' cd -P -- "$1" 2>/dev/null && pwd -P; }

# The same for a file.
resolve_file() {
  _at=$1
  while _to=$(readlink "$_at"); do
    case $_to in
      /*) _at=$_to ;;
      *) _at=${_at%/*}/$_to ;;
    esac
  done
  [ -e "$_at" ] && printf '%s\n' "$_at"
}

# The number of the account that we are. `id` would be a process.
own_number() {
  _uid=''
  while read -r _key _real _uid _; do
    case $_key in Uid:) break ;; esac
    _uid=''
  done 2>/dev/null </proc/self/status
  [ -n "$_uid" ] || _uid=$(id -u)
  printf '%s\n' "$_uid"
}

# The home of an account, from whatever directory service the system has. The name is checked before it gets here.
home_of() { eval "printf '%s\n' ~$1"; }

# The profile of an account's home: the one there is, else home-manager's rule, and a new one in the account's own home. Nix makes the
# folder there whenever the account uses it; a profile that is elsewhere by then, with all its generations, stays the one.
home_profile() { # ACCOUNT HOME
  _own=$2/.local/state/nix/profiles _old=$root/nix/var/nix/profiles/per-user/$1
  if [ -L "$_own/home-manager" ] || { [ -d "$_own" ] && ! [ -L "$_old/home-manager" ]; } || ! [ -d "$_old" ]; then
    printf '%s\n' "$_own/home-manager"
  else
    printf '%s\n' "$_old/home-manager"
  fi
}

# When a process started, which together with its number and the boot names it for good; nothing when it is gone or a zombie.
born() { # PID: sets `born`
  born=
  if [ -r "/proc/$1/stat" ] && IFS= read -r _stat 2>/dev/null <"/proc/$1/stat"; then
    # shellcheck disable=SC2086 # the fields of the line are wanted as words
    set -- ${_stat##*) }
    [ "$1" = Z ] || born=${20}
  elif [ ! -r /proc/self/stat ]; then
    born=$(ps -o lstart= -p "$1" 2>/dev/null)
  fi
}
started() { # PID: the same, printed
  born "$1"
  [ -z "$born" ] || printf '%s\n' "$born"
}

# This boot. Hosts that share a kernel share its boot id: the start of their first process tells their boots apart.
boot() { # sets `this_boot`
  if [ -r /proc/sys/kernel/random/boot_id ]; then
    IFS= read -r this_boot </proc/sys/kernel/random/boot_id
  else
    this_boot=$(sysctl -n kern.bootsessionuuid 2>/dev/null) || this_boot=$(sysctl -n kern.boottime)
  fi
  born 1
  this_boot=$this_boot/$born
}

# Is the process that these three name still there?
alive() { # PID STARTED BOOT
  [ -n "$1" ] && [ "$3" = "$this_boot" ] && [ -n "$2" ] && born "$1" && [ "$2" = "$born" ]
}
boot

# The value of a key in a file of key=value lines; nothing when there is no such file.
field() { # FILE KEY
  while IFS= read -r _line; do
    case $_line in "$2="*) printf '%s\n' "${_line#*=}" && return 0 ;; esac
  done 2>/dev/null <"$1"
  return 1
}

# Does the process live that a file names with its lines pid=, started= and boot=?
file_lives() { # FILE
  _pid='' _started='' _boot=''
  while IFS= read -r _line; do
    case $_line in
      pid=*) _pid=${_line#*=} ;;
      started=*) _started=${_line#*=} ;;
      boot=*) _boot=${_line#*=} ;;
    esac
  done 2>/dev/null <"$1"
  alive "$_pid" "$_started" "$_boot"
}

# The lines of a file, each with something before it, if there is such a file.
show() { # PREFIX FILE
  while IFS= read -r _line || [ -n "$_line" ]; do
    printf '%s%s\n' "$1" "$_line"
  done 2>/dev/null <"$2"
  return 0
}

# Write the lines of standard input to a file whole or not at all.
put() { # FILE
  while IFS= read -r _line; do
    printf '%s\n' "$_line" || return
  done >"$1.part.$$" && mv -f "$1.part.$$" "$1"
}

# Wait a little, the longer the longer it takes. `waited` counts hundredths of a second by what was slept and not by a clock,
# because an activation may set the clock.
nap() {
  _step=2 _sleep=0.02
  [ "$waited" -lt 20 ] || _step=5 _sleep=0.05
  [ "$waited" -lt 200 ] || _step=20 _sleep=0.2
  [ "$waited" -lt 3000 ] || _step=50 _sleep=0.5
  sleep "$_sleep" 2>/dev/null || { sleep 1 && _step=100; } # a sleep that knows whole seconds only
  waited=$((waited + _step))
}

# The same until a time or a signal, USR1, for which the caller has a trap: whoever waits for another need not look all the time.
# `waited` counts what was slept to its end.
pause() { # LIMIT (of `waited`)
  _step=20
  [ "$waited" -lt 200 ] || _step=50
  [ "$((waited + _step))" -le "$1" ] || _step=$(($1 - waited))
  [ "$_step" -gt 0 ] || return 0
  _rest=$((100 + _step))
  sleep "0.${_rest#1}" 2>/dev/null &
  wait "$!"
  case $? in
    0) waited=$((waited + _step)) ;;
    129 | 1[3-9]? | 2??) { kill -KILL "$!" && wait "$!"; } 2>/dev/null ;;
    *) sleep 1 && waited=$((waited + 100)) ;; # a sleep that knows whole seconds only
  esac
}
