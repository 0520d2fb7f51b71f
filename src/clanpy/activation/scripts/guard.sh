# The guard: makes a store path live on this host, and puts back what ran before unless it is told in time that all is well.
# It runs detached from every connection. usage: sh guard go|recover DIR
#
#   recorded -> activating -> awaiting -> committing [-> rebooting -> awaiting] -> finishing        confirmed
#                    \           \            \                        \
#                     `-----------`------------`------------------------`-> rolling_back -> finishing      rolled_back | stuck
#
# In $dir: spec (what to do), state (how far we are), previous (what ran before), log, result; `confirm`, `revert` and `wait` (longer)
# are made by the controller. Until `committing` neither profile nor boot entry is touched: a reboot is a way back as well.
# From spec: id run slot class kind account goal reboot new live generation confirm_within activate_within token keep backup bootloader
# person owner controller reason. Times are in hundredths of a second.
mode=$1
dir=$2
# shellcheck source=/dev/null # written by start.sh
. "$dir/spec"
me=$(own_number)
born $$
mine=$born
places "$me"
# sudo on macOS keeps the caller's HOME, which Nix as root must not use; nix-darwin's own command sets both of these.
[ "$me" != 0 ] || HOME=$(home_of root)
export HOME
[ "$class" != darwin ] || ! [ -S "$root/nix/var/nix/daemon-socket/socket" ] || export NIX_REMOTE=daemon

home='' profile=$root/nix/var/nix/profiles/system
[ "$kind" = system ] || home=$root$(home_of "$account")
[ "$kind" = system ] || profile=$(home_profile "$account" "$home")

# Say and write down how far we are. A step is written down before it is taken.
step() { # PHASE
  [ "$phase" = "$1" ] || echo "clanpy: $1"
  phase=$1
  printf '%s\n' "phase=$phase" "pid=$$" "started=$mine" "boot=$this_boot" "child=$child" \
    "child_started=${child:+$(started "$child")}" "outcome=$outcome" "reason=$why" "code=$code" wakes=1 | put "$dir/state" || return
  wake
}

wake() { # those that wait for the next step
  for _listener in "$dir"/listen.*; do
    ! file_lives "$_listener" || kill -USR1 "${_listener##*.}"
  done
}

# ---- the way ----

finish() { # OUTCOME REASON
  outcome=$1 why=$2
  rm -f "$dir/reserve"
  step finishing
  [ "$kind" = home ] || settle_secrets "$outcome"
  remember_failure "$outcome"
  no_rescue_after_boot
  guard_unlock
  forget_old
  printf '%s\n' "outcome=$outcome" "reason=$why" "code=$code" "running=$(running)" "finished=$(date +%s)" | put "$dir/result"
  wake
  exit 0
}

forget_old() { # of the runs of this slot that have ended, all but the last $keep, with this one
  _kept=1
  # shellcheck disable=SC2012 # the names are run ids, which have no white space
  ls -1t "$vault/runs" | while IFS= read -r _run; do
    [ -e "$vault/runs/$_run/result" ] || continue
    [ "$(field "$vault/runs/$_run/public" slot)" = "$slot" ] || continue
    _kept=$((_kept + 1))
    [ "$_kept" -le "$keep" ] || rm -rf "$vault/runs/$_run" "${roots:?}/$_run"
  done
}

# The tools of the system that ran before come first, whatever the new one brings: they are what going back is done with.
tools() { [ ! -d "$previous/sw/bin" ] || PATH=$previous/sw/bin:$PATH; }

record() {
  previous=$(running)
  tools
  previous_profile=$(resolve "$profile")
  previous_generation=$(readlink "$profile")
  previous_generation=${previous_generation%-link}
  previous_generation=${previous_generation##*-}
  keep_path "$id" new "$new" || return
  [ -z "$previous" ] || keep_path "$id" previous "$previous" || return
  [ -z "$previous_profile" ] || keep_path "$id" profile "$previous_profile" || return
  printf '%s\n' "previous=$previous" "previous_profile=$previous_profile" "previous_generation=$previous_generation" |
    put "$dir/previous" || return
  printf '%065536d' 0 >"$dir/reserve" # room to write the end of the story on a disk that is full
}

await() { # until the controller says yes (0) or no, or says nothing in time
  [ "$confirm_within" -gt 0 ] || return 0
  step awaiting
  waited=0
  while :; do
    if [ -e "$dir/revert" ]; then
      why=$(cat "$dir/revert")
      return 1
    fi
    # after a reboot, what was said before it does not count
    [ ! -e "$dir/confirm" ] || { [ -e "$dir/rebooted" ] && [ "$(cat "$dir/confirm")" != "$this_boot" ]; } || return 0
    [ ! -e "$dir/wait" ] || { rm -f "$dir/wait" && waited=0; } # the controller is there, and is not done looking
    if [ "$waited" -ge "$confirm_within" ]; then
      why=not_confirmed
      return 1
    fi
    pause "$confirm_within"
  done
}

commit() {
  step committing
  if [ "$goal" != test ]; then
    set_profile "$new" "$generation" || roll_back commit_failed
    boot_entry "$new" || roll_back commit_failed
  fi
  [ "$reboot" != 1 ] || [ -e "$dir/rebooted" ] || reboot_now rebooting || roll_back no_reboot
  keep
}

keep() {
  if [ -n "$previous" ] && [ "$previous" != "$(resolve "$live")" ]; then # where an operator's "back" leads from now on
    keep_path .back "$slot" "$previous" && put "$vault/back.$slot" <"$dir/previous"
  fi
  finish confirmed ''
}

roll_back() { # REASON
  why=$1
  rm -f "$dir/reserve"
  step rolling_back
  [ -n "$previous" ] || finish failed "$why" # the first system of this host: there is nothing to go back to
  first=$code ok=1
  if [ -n "$previous_profile" ] && [ "$(resolve "$profile")" != "$previous_profile" ]; then
    set_profile "$previous_profile" "$previous_generation" || ok=0
    boot_entry "$previous_profile" || ok=0
  fi
  # What came by a reboot goes by a reboot: once.
  if [ -e "$dir/rebooted" ] && [ "$(running)" != "$previous" ] && mkdir "$dir/back" 2>/dev/null; then
    reboot_now rolling_back
  fi
  # After a reboot there is nothing to undo, unless the boot brought the new system.
  if { [ "$goal" != boot ] || [ -e "$dir/rebooted" ]; } && { [ -z "$rebooted" ] || [ "$(running)" = "$(resolve "$live")" ]; }; then
    [ "$kind" = home ] || secrets_back "$run"
    in_time activate "$previous"
    case $? in 0 | 4) ;; *) ok=0 ;; esac
  fi
  # after a reboot it is the profile that runs, whatever had been tried out on top of it
  [ "$kind" = home ] || [ "$(running)" = "$previous" ] || [ "${rebooted:+$(running)}" = "$previous_profile" ] || ok=0
  echo "clanpy: going back gave ${code:-nothing to do}"
  code=$first
  if [ "$ok" = 1 ]; then finish rolled_back "$why"; else finish stuck "$why"; fi
}

go() {
  step starting || exit
  guard_lock
  locked=$?
  : >"$dir/alive" # from here on the one who started us may go
  [ "$locked" = 0 ] || finish failed locked
  read -r latest 2>/dev/null <"$vault/latest.$slot" || latest=$id
  # What runs may be the half of something: it must not become what is gone back to.
  [ -e "$vault/runs/$latest/result" ] || ! [ -d "$vault/runs/$latest" ] || [ "$latest" = "$id" ] || finish failed left_over
  echo "$id" | put "$vault/latest.$slot" || finish failed not_recorded
  record || finish failed not_recorded
  step recorded || finish failed not_recorded
  rescue_after_boot
  [ "$goal" != boot ] || commit
  [ "$kind" = system ] || in_time check "$live" || finish failed in_the_way
  step activating || finish failed not_recorded
  in_time activate "$live"
  case $class.$code in
    nixos.11 | nixos.100) # said before anything is touched: another switch is under way; only a reboot can bring this one
      [ "$code.$reboot" != 100.1 ] || { echo "goal='boot'" >>"$dir/spec" && goal=boot && commit; }
      [ "$(running)" != "$previous" ] || finish failed activation_refused ;;
  esac
  [ "$code" = 0 ] || roll_back activation_failed
  [ "$kind" = home ] || [ "$(running)" = "$(resolve "$live")" ] || roll_back not_running
  [ "$kind" = home ] || secrets_applied
  await || roll_back "$why"
  commit
}

after_reboot() { # that belongs to the way
  [ -e "$dir/rebooted" ] || reboot_now rebooting || roll_back no_reboot # killed before it could
  case $(running) in "$(resolve "$new")" | "$(resolve "$live")") ;; *) roll_back not_booted ;; esac
  await || roll_back "$why"
  keep
}

# Bring a run whose guard was killed, or whose host was rebooted, to one of its ends.
recover() {
  [ ! -e "$dir/result" ] || exit 0
  was=starting
  if [ -e "$dir/state" ]; then
    was=$(field "$dir/state" phase)
    outcome=$(field "$dir/state" outcome) why=$(field "$dir/state" reason) code=$(field "$dir/state" code)
    [ "$(field "$dir/state" boot)" = "$this_boot" ] && [ ! -e "$dir/rebooted" ] || rebooted=1
    left=$(field "$dir/state" child)
    ! alive "$left" "$(field "$dir/state" child_started)" "$(field "$dir/state" boot)" || end_group "$left"
  fi
  if [ -e "$dir/previous" ]; then
    previous=$(field "$dir/previous" previous)
    previous_profile=$(field "$dir/previous" previous_profile)
    previous_generation=$(field "$dir/previous" previous_generation)
    tools
  fi
  [ -z "$rebooted" ] || [ -z "$previous" ] || boot_is_done
  guard_lock || exit
  [ -n "$why" ] || [ "$was" = finishing ] || why=${rebooted:+rebooted}
  [ -n "$why" ] || [ "$was" = finishing ] || why=interrupted
  [ "$was.$rebooted" != rebooting.1 ] || : >"$dir/rebooted"
  case $was in
    activating) was=rolling_back ;; # nobody is asked any more
    awaiting) [ -e "$dir/rebooted" ] || was=rolling_back ;;
  esac
  phase=$was
  step "$was"
  : >"$dir/alive"
  case $was in
    starting | recorded) finish failed "$why" ;;
    finishing) finish "$outcome" "$why" ;;
    committing) [ "$goal" = boot ] || [ "$(running)" = "$(resolve "$live")" ] && commit ;;
    rebooting | awaiting) after_reboot ;;
  esac
  roll_back "$why"
}

case $mode in
  activate)
    activate "$3"
    exit
    ;;
  check)
    nothing_in_the_way "$3"
    exit
    ;;
esac
exec </dev/null >>"$dir/log" 2>&1
trap '' HUP
trap : USR1 # there is an answer
phase='' outcome='' why='' code='' child='' rebooted='' previous='' previous_profile='' previous_generation=''
"$mode"
