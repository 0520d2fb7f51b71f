# Watch a guard, answer it, ask how it ended. Lines of its log come with "|" before them.
# Variables: id act(follow|answer|report) cursor (lines of the log already seen) answer(confirm|revert|'') reason
#   wait_for (hundredths of a second) tail_lines
places "$(id -u)"
dir=$vault/runs/$id
[ -d "$dir" ] || {
  say "unknown=$id"
  exit 1
}

guard_lives() { file_lives "$dir/state"; }

show_log() { # the complete lines that have not been shown yet
  _lines=$(wc -l <"$dir/log" 2>/dev/null) || return 0
  [ "$_lines" -gt "$cursor" ] || return 0
  sed -n "$((cursor + 1)),$((_lines))s/^/|/p" "$dir/log"
  cursor=$((_lines))
}

# Follow until the guard waits for an answer, ends or is gone.
follow() {
  shown=
  while :; do
    stopped=
    if [ -e "$dir/result" ]; then
      stopped=ended
    elif ! guard_lives; then
      stopped=lost
      [ ! -e "$dir/result" ] || stopped=ended # it ended between the two questions
    fi
    now=$(field "$dir/state" phase 2>/dev/null)
    [ -n "$stopped" ] || [ "$now" != awaiting ] || stopped=awaiting
    show_log
    if [ "$now" != "$shown" ]; then
      say "phase=$now"
      shown=$now
    fi
    [ -z "$stopped" ] || break
    nap
  done
  say "stopped=$stopped"
}

report() {
  for _file in public previous state result; do
    [ ! -r "$dir/$_file" ] || sed 's/^/@/' "$dir/$_file"
  done
  [ -e "$dir/result" ] || ! guard_lives || say "alive=1"
  tail -n "$tail_lines" "$dir/log" 2>/dev/null | sed 's/^/|/'
  say "end=report"
}

waited=0
case $act in
  follow) follow ;;
  answer)
    case $answer in
      confirm) : >"$dir/confirm" ;;
      revert) echo "$reason" | put "$dir/revert" ;;
    esac || {
      say "denied=$dir"
      exit 3
    }
    while ! [ -e "$dir/result" ] && guard_lives && [ "$waited" -lt "$wait_for" ]; do nap; done
    report
    ;;
  report) report ;;
esac
