# What has to go on after a reboot. From the guard: id dir mode root sh me kind slot why code new run.

# With systemd, a unit of the host's own that the next boot starts: `recover` then needs no controller. It lies where `systemctl
# set-property` keeps what is to last, which no system's configuration owns. Where that can't be written, and on macOS (which boots what
# the profile names, and that is changed last), the next run recovers what is left.
rescuer=$root/etc/systemd/system.control
rescue_unit() {
  printf '%s\n' '[Unit]' "Description=Bring clanpy run $id to its end" 'After=nix-daemon.socket' \
    'X-StopIfChanged=false' 'X-RestartIfChanged=false' 'X-StopOnRemoval=false' '[Service]' 'OOMScoreAdjust=-900' \
    "ExecStart=$sh $dir/guard recover $dir"
}
rescue_after_boot() {
  [ "$me" = 0 ] && [ -d "$root/run/systemd/system" ] || return 0
  { mkdir -p "$rescuer/multi-user.target.wants" && rescue_unit | put "$rescuer/clanpy-$id-after-boot.service" &&
    ln -sfn "../clanpy-$id-after-boot.service" "$rescuer/multi-user.target.wants/"; } 2>/dev/null ||
    echo "clanpy: nothing will bring this to its end after a reboot but the next run: $rescuer can't be written"
}
no_rescue_after_boot() {
  [ -d "$rescuer" ] || return 0
  rm -f "$rescuer/multi-user.target.wants/clanpy-$id-after-boot.service" "$rescuer/clanpy-$id-after-boot.service"
  rmdir "$rescuer/multi-user.target.wants" "$rescuer" 2>/dev/null
}

boot_is_done() { # a host may be so early in its boot that nothing is called its running system yet
  waited=0
  until [ -n "$(running)" ] || [ "$waited" -ge 6000 ]; do nap; done
}

reboot_now() { # does not come back, unless it can't be done
  step "$1"
  sync
  if [ -n "$root" ]; then # a folder that stands for a host has a way of its own
    "$root/reboot"
  else
    systemctl reboot 2>/dev/null || shutdown -r now 2>/dev/null || reboot
  fi || return
  waited=0
  while [ "$waited" -lt 12000 ]; do nap; done
  return 1
}

# A path that failed is remembered, so that nobody tries it again without knowing. What is no fault of the path's is not.
remember_failure() { # OUTCOME
  _failed=$vault/failed/$slot
  if [ "$1" = confirmed ]; then
    rm -f "$_failed/${new##*/}"
    return
  fi
  case $why in activation_failed | not_running | commit_failed | gate_failed*) ;; *) return 0 ;; esac
  mkdir -p "$_failed" && printf '%s\n' "path=$new" "run=$run" "reason=$why" "code=$code" "when=$(date +%s)" |
    put "$_failed/${new##*/}"
}
