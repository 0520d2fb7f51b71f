# An activation with a limit. From the guard: dir phase previous sh activate_within.

own_group() { # COMMAND...: in a process group of its own, so that it can be ended with everything it started
  trap - HUP
  if has setsid; then
    exec setsid "$@"
  elif has perl; then
    exec perl -e 'setpgrp(0, 0); exec @ARGV' "$@"
  else
    exec "$@"
  fi
}

end_group() { # PID
  kill -TERM "-$1" 2>/dev/null || kill -TERM "$1" 2>/dev/null
  waited=0 grace=$activate_within
  [ "$grace" -le 500 ] || grace=500
  while kill -0 "-$1" 2>/dev/null && [ "$waited" -lt "$grace" ]; do nap; done
  kill -KILL "-$1" 2>/dev/null || kill -KILL "$1" 2>/dev/null
}

doze() { # half a second, or what is left until the limit
  _left=$((activate_within - waited))
  [ "$_left" -le 50 ] || _left=50
  waited=$((waited + _left))
  [ "$_left" -ge 10 ] || _left=0$_left
  sleep "0.$_left" 2>/dev/null &
  wait "$!" || { sleep 1 && waited=$((waited + 50)); } # a sleep that knows whole seconds only
}

in_time() { # WORD PATH: activate or check, 124 when it took too long and was ended
  rm -f "$dir/late"
  [ ! -x "$previous/sw/bin/sh" ] || sh=$previous/sw/bin/sh # the new system may have brought another /bin/sh, or none
  own_group "$sh" "$dir/guard" "$1" "$dir" "$2" &
  child=$!
  step "$phase"
  (
    trap 'kill "$!" 2>/dev/null; exit' TERM
    waited=0
    while [ "$waited" -lt "$activate_within" ]; do
      kill -0 $$ 2>/dev/null || exit # the guard was killed: nobody waits for our word, and the number may be another's soon
      doze
    done
    trap - TERM
    : >"$dir/late"
    end_group "$child"
  ) &
  watch=$!
  wait "$child"
  code=$?
  while [ "$code" -gt 128 ] && kill -0 "$child" 2>/dev/null; do # it was we who got a signal
    wait "$child"
    code=$?
  done
  [ -e "$dir/late" ] || kill "$watch" 2>/dev/null
  wait "$watch" 2>/dev/null
  child=
  [ ! -e "$dir/late" ] || code=124
  return "$code"
}
