#!/bin/sh
# What the boot loader's entry names: the system is activated and its one-shot units run; as process 1 it hands on to an init.
systemConfig=@out@
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mkdir -p /run
ln -sfn "$systemConfig" /run/booted-system
"$systemConfig/activate"
status=$?
if [ ! -d /run/systemd/system ]; then
  for unit in "$systemConfig"/oneshots/*; do
    [ ! -e "$unit" ] || "$unit" || echo "${unit##*/} failed" >&2
  done
fi
[ "$$" != 1 ] || [ ! -x /sbin/init ] || exec /sbin/init "$@"
exit "$status"
