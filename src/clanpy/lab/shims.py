"""Programs that a host has because its class would have them, as far as a deployment asks them anything.

All are POSIX sh. They keep what they are told below /run (gone at the next boot, as it should be) and log their calls.
"""

from __future__ import annotations

from collections.abc import Mapping


_POWER = """\
#!/bin/sh
# {name} without a service manager: what is written is on the disk, then the power goes
case "{name} $*" in
  *poweroff*|*halt*|shutdown*-h*|shutdown*-P*) how=poweroff ;;
  shutdown*-c*) exit 0 ;;
  *) how=reboot ;;
esac
sync
exec busybox $how -f
"""

_SYSTEMCTL = """\
#!/bin/sh
# systemctl without systemd: remembers for each unit what it was last told, and answers accordingly
known=/run/clanpy-lab/units
mkdir -p "$known" 2> /dev/null
{ echo "$*" >> /var/log/systemctl.log; } 2> /dev/null
verb='' units='' quiet='' wants=''
for word; do
  case "$word" in
    -q|--quiet) quiet=1 ;;
    --failed|--state=failed) wants=failed ;;
    -*) ;;
    *) if [ -z "$verb" ]; then verb=$word; else units="$units ${word%.service}.service"; fi ;;
  esac
done
tell() { [ -n "$quiet" ] || echo "$1"; }
state() { cat "$known/$1" 2> /dev/null || echo inactive; }
each() { for unit in $units; do echo "$1" > "$known/$unit"; done; }
case "${verb:-list-units}" in
  reboot|poweroff|halt) exec "/usr/sbin/$verb" ;;
  start|restart|reload|reload-or-restart|try-restart) each active ;;
  stop) each inactive ;;
  kill|reset-failed) [ -n "$units" ] || units=$(ls "$known"); each inactive ;;
  is-system-running)
    if grep -qs failed "$known"/*; then tell degraded; exit 1; fi
    tell running ;;
  is-active)
    code=3
    for unit in $units; do tell "$(state "$unit")"; [ "$(state "$unit")" != active ] || code=0; done
    exit $code ;;
  is-failed)
    code=1
    for unit in $units; do tell "$(state "$unit")"; [ "$(state "$unit")" != failed ] || code=0; done
    exit $code ;;
  list-units)
    for unit in $(ls "$known"); do
      found=$(state "$unit")
      [ -n "$wants" ] && [ "$found" != "$wants" ] || echo "$unit loaded $found"
    done ;;
esac
exit 0
"""

_UNAME = """\
#!/bin/sh
# uname of macOS on Apple hardware
s=Darwin n=$(cat /proc/sys/kernel/hostname) r=24.6.0 m=arm64 p=arm
v='Darwin Kernel Version 24.6.0: Mon Jul 14 11:30:40 PDT 2025; root:xnu-11417.140.69~1/RELEASE_ARM64_T6041'
[ $# -gt 0 ] || set -- -s
want=''
for word; do
  case "$word" in
    --) ;;
    -*[!asnrvmpo-]*|[!-]*) echo "usage: uname [-amnoprsv]" >&2; exit 1 ;;
    *) want="$want$word" ;;
  esac
done
case "$want" in *a*) want=snrvm ;; esac
out=''
for part in s n r v m p; do
  case "$want" in *$part*) eval "out=\\"\\$out \\$$part\\"" ;; esac
done
case "$want" in *o*) out="$out Darwin" ;; esac
echo "${out# }"
"""

_SW_VERS = """\
#!/bin/sh
case "${1#-}" in
  productName|-productName) echo macOS ;;
  productVersion|-productVersion) echo 15.6 ;;
  buildVersion|-buildVersion) echo 24G84 ;;
  *) printf 'ProductName:\\t\\tmacOS\\nProductVersion:\\t\\t15.6\\nBuildVersion:\\t\\t24G84\\n' ;;
esac
"""

_SCUTIL = """\
#!/bin/sh
names=/var/db/clanpy-lab/names
mkdir -p "$names"
case "$1 $2" in
  --get\\ ComputerName|--get\\ LocalHostName) cat "$names/$2" 2> /dev/null || cat /etc/hostname ;;
  --get\\ HostName) cat "$names/$2" 2> /dev/null || { echo 'HostName: not set'; exit 1; } ;;
  --set\\ ComputerName|--set\\ LocalHostName|--set\\ HostName)
    [ "$(id -u)" = 0 ] || { echo 'scutil: must be run as root' >&2; exit 77; }
    echo "$3" > "$names/$2" ;;
  *) echo "usage: scutil --get|--set pref [newval]" >&2; exit 64 ;;
esac
"""

_DSCL = """\
#!/bin/sh
# dscl . -list /Users | dscl . -read /Users/NAME [KEY...]
[ "$1" = . ] && shift
case "$1 $2" in
  -list\\ /Users|list\\ /Users) cut -d: -f1 /etc/passwd; exit ;;
  -list\\ /Groups|list\\ /Groups) cut -d: -f1 /etc/group; exit ;;
  -read\\ /Users/*|read\\ /Users/*) ;;
  *) echo "dscl: not supported in the lab: $*" >&2; exit 64 ;;
esac
line=$(grep "^${2#/Users/}:" /etc/passwd) || { echo '<dscl_cmd> DS Error: -14136 (eDSRecordNotFound)' >&2; exit 56; }
shift 2
[ $# -gt 0 ] || set -- NFSHomeDirectory PrimaryGroupID RecordName UniqueID UserShell
for key; do
  case "$key" in
    RecordName) field=1 ;; UniqueID) field=3 ;; PrimaryGroupID) field=4 ;;
    NFSHomeDirectory) field=6 ;; UserShell) field=7 ;; *) echo "No such key: $key"; continue ;;
  esac
  echo "$key: $(echo "$line" | cut -d: -f$field)"
done
"""

_SYSCTL = """\
#!/bin/sh
value=''
for word; do
  case "$word" in
    -n) value=1; continue ;;
    -*) continue ;;
    kern.bootsessionuuid) found=$(tr a-z A-Z < /proc/sys/kernel/random/boot_id) ;;
    kern.boottime) found="{ sec = $(stat -c %Y /run/clanpy-lab/hostname), usec = 0 }" ;;
    kern.hostname) found=$(cat /proc/sys/kernel/hostname) ;;
    kern.ostype) found=Darwin ;;
    kern.osrelease) found=24.6.0 ;;
    kern.osproductversion) found=15.6 ;;
    hw.ncpu|hw.logicalcpu|hw.physicalcpu) found=$(nproc) ;;
    hw.memsize) found=17179869184 ;;
    hw.machine) found=arm64 ;;
    *) echo "sysctl: unknown oid '$word'" >&2; exit 1 ;;
  esac
  [ -n "$value" ] && echo "$found" || echo "$word: $found"
done
"""

_LAUNCHCTL = """\
#!/bin/sh
# launchctl, as far as a program has to be started: submit, asuser; the rest is noted
{ echo "$*" >> /var/log/launchctl.log; } 2> /dev/null
verb=$1
case "$verb" in
  asuser) shift 2; exec "$@" ;;
  submit)
    out=/dev/null err=/dev/null
    while [ $# -gt 0 ] && [ "$1" != -- ]; do
      case "$1" in -o) out=$2; shift ;; -e) err=$2; shift ;; -l|-p) shift ;; esac
      shift
    done
    shift
    setsid "$@" < /dev/null > "$out" 2> "$err" & ;;
  list) printf 'PID\\tStatus\\tLabel\\n' ;;
esac
exit 0
"""

_NOT_THERE = """\
#!/bin/sh
echo "{name}: command not found" >&2
exit 127
"""

LINUX_SHIMS: Mapping[str, str] = {
    "usr/bin/systemctl": _SYSTEMCTL,
    **{f"usr/sbin/{name}": _POWER.format(name=name) for name in ("reboot", "poweroff", "halt", "shutdown")},
}

DARWIN_SHIMS: Mapping[str, str] = {
    "usr/bin/uname": _UNAME,
    "usr/bin/sw_vers": _SW_VERS,
    "usr/bin/dscl": _DSCL,
    "usr/bin/launchctl": _LAUNCHCTL,
    "usr/sbin/scutil": _SCUTIL,
    "usr/sbin/sysctl": _SYSCTL,
    **{f"usr/sbin/{name}": _POWER.format(name=name) for name in ("reboot", "halt", "shutdown")},
    **{f"usr/bin/{name}": _NOT_THERE.format(name=name) for name in ("systemctl", "systemd-run", "journalctl")},
}
