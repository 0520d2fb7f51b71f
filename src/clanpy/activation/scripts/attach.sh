# Watch a guard, answer it, ask how it ended. Lines of its log come with "|" before them.
# Variables: id act(follow|answer|condemn|report) cursor (lines of the log already seen) answer(confirm|revert|wait|'') reason
#   wait_for (hundredths of a second) tail_lines
places "$(own_number)"
dir=$vault/runs/$id
[ -d "$dir" ] || {
  say "unknown=$id"
  exit 1
}

guard_lives() { file_lives "$dir/state"; }

# Be told by the guard when it is a step further.
listen() {
  trap : USR1
  born $$
  printf '%s\n' "pid=$$" "started=$born" "boot=$this_boot" 2>/dev/null >"$dir/listen.$$"
}
tell_guard() { [ "$(field "$dir/state" wakes)" != 1 ] || ! guard_lives || kill -USR1 "$(field "$dir/state" pid)" 2>/dev/null; }

show_log() { # the complete lines that have not been shown yet
  while IFS= read -r _line <&3; do
    lines=$((lines + 1))
    [ "$lines" -le "$cursor" ] || printf '|%s%s\n' "$begun" "$_line"
    begun=''
  done
  begun=$begun$_line # what has no end yet
}

# Follow until the guard waits for an answer, ends or is gone.
follow() {
  listen
  shown='' lines=0 begun=''
  if [ -r "$dir/log" ]; then exec 3<"$dir/log"; else exec 3</dev/null; fi
  while :; do
    stopped=
    if [ -e "$dir/result" ]; then
      stopped=ended
    elif ! guard_lives; then
      stopped=lost
      [ ! -e "$dir/result" ] || stopped=ended # it ended between the two questions
    fi
    now=$(field "$dir/state" phase 2>/dev/null)
    [ -n "$stopped" ] || case $now in awaiting | rebooting) stopped=$now ;; esac
    show_log
    if [ "$now" != "$shown" ]; then
      say "phase=$now"
      shown=$now
    fi
    [ -z "$stopped" ] || break
    pause "$((waited + 100))"
  done
  say "stopped=$stopped"
}

report() {
  for _file in public previous state result; do
    show @ "$dir/$_file"
  done
  [ -e "$dir/result" ] || ! guard_lives || say "alive=1"
  say "now=$this_boot"
  tail -n "$tail_lines" "$dir/log" 2>/dev/null | sed 's/^/|/'
  say "end=report"
}

waited=0
case $act in
  follow) follow ;;
  answer)
    listen
    case $answer in
      confirm) echo "$this_boot" | put "$dir/confirm" ;;
      revert) echo "$reason" | put "$dir/revert" ;;
      wait) : >"$dir/wait" ;;
    esac || [ -w "$dir" ] || { # where there is no room for the answer, the guard goes back without one
      say "denied=$dir"
      exit 3
    }
    tell_guard
    while ! [ -e "$dir/result" ] && guard_lives && [ "$waited" -lt "$wait_for" ]; do
      [ "$(field "$dir/state" phase)" != rebooting ] || [ "$answer" != confirm ] || break
      pause "$wait_for"
    done
    report
    ;;
  condemn) # what reboot.sh remembers of a path that failed
    failed=$vault/failed/$(field "$dir/public" slot) new=$(field "$dir/public" new)
    mkdir -p "$failed" && {
      printf '%s\n' "path=$new" "run=$(field "$dir/public" run)" "when=$(field "$dir/result" finished)"
      sed -n '/^reason=/p; /^code=/p' "$dir/result"
    } | put "$failed/${new##*/}"
    report
    ;;
  report) report ;;
esac
