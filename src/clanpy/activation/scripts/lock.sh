# Take the host's lock and hold it until we are ended by a signal: the connection's life line sends one when the connection ends,
# however it ends. A guard may have taken the lock over by then; if so it is the guard's.
# Variables: owner controller run reason wait_for (hundredths of a second) steal (0|1)
places "$(own_number)"
denied() {
  say "denied=$locks"
  exit 3
}
[ -d "$locks" ] || mkdir -p "$locks" 2>/dev/null || denied
token=$run.$$.$(date +%s)
mine=$locks/mine.$$
# The traps for signals make an end by one an ordinary end.
trap 'rm -f "$mine"' EXIT
trap 'exit 0' HUP INT TERM PIPE
lock_text "$$" "$token" controller 2>/dev/null >"$mine" || denied

tell() { # WORD: who holds it
  printf '%s\n' "$holder" | sed 's/^/@/'
  say "$1=1"
}
waited=0 told='' tries=0
while :; do
  lock_find
  if ! lock_is_held || lock_is_to_be_stolen; then
    lock_publish "$mine" && break
    # Somebody was faster; but not a thousand times in a row: then this folder knows no hard links, or takes no files.
    tries=$((tries + 1))
    [ "$tries" -lt 1000 ] || denied
    continue
  fi
  tries=0
  holder=$(sed 's/^/lock./' "$_lock" 2>/dev/null)
  [ -n "$holder" ] || continue # it has just been replaced
  if [ "$waited" -ge "$wait_for" ]; then
    rm -f "$mine" # before it is told: we may be ended as soon as it is
    tell busy
    exit 1
  fi
  if [ "$told" != "$top" ]; then
    tell waiting
    told=$top
  fi
  nap
done

# A child that has not become `sleep` yet would lose any other signal than this.
trap 'kill -KILL "$!" 2>/dev/null; lock_leave "$token"; rm -f "$mine"' EXIT
say "held=$token"
exec 2>/dev/null # some shells tell of children that a signal ended
while :; do
  sleep 3600 >/dev/null &
  wait "$!"
done
