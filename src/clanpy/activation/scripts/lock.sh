# Take the host's lock and hold it until we are ended by a signal: the connection's life line sends one when the connection ends,
# however it ends. A guard may have taken the lock over by then; if so it is the guard's.
# Variables: owner controller run reason wait_for (hundredths of a second) steal (0|1)
places "$(id -u)"
denied() {
  say "denied=$locks"
  exit 3
}
mkdir -p "$locks" 2>/dev/null || denied
token=$run.$$.$(date +%s)
mine=$locks/mine.$$
trap 'rm -f "$mine"' EXIT
lock_text "$$" "$token" controller 2>/dev/null >"$mine" || denied

tell() { # WORD: who holds it
  printf '%s\n' "$holder" | sed 's/^/@/'
  say "$1=1"
}
waited=0 told=
while :; do
  lock_find
  if ! lock_is_held || lock_is_to_be_stolen; then
    lock_publish "$mine" && break
    continue
  fi
  holder=$(sed -n 's/^/lock./p' "$_lock" 2>/dev/null) && [ -n "$holder" ] || continue
  if [ "$waited" -ge "$wait_for" ]; then
    tell busy
    exit 1
  fi
  if [ "$told" != "$top" ]; then
    tell waiting
    told=$top
  fi
  nap
done

trap 'kill "$sleeper" 2>/dev/null; lock_leave "$token"; rm -f "$mine"' EXIT
trap 'exit 0' HUP INT TERM
say "held=$token"
exec 2>/dev/null # some shells tell of children that a signal ended
while :; do
  sleep 3600 &
  sleeper=$!
  wait "$sleeper"
done
