# The lock of a host: files lock.N in $locks, of which the one with the highest number counts. It is taken by making the next
# one (a hard link to a file that is complete already: atomic, and of two takers one fails), and let go by making a next one that
# says "free". The highest is never removed, so a slow taker can't mistake an old state for the present one.

# Find the highest: `top` is its number (0 when there is none).
lock_find() {
  top=0
  for _file in "$locks"/lock.*; do
    _number=${_file##*.}
    case $_number in '' | *[!0-9]*) continue ;; esac
    [ "$_number" -le "$top" ] || top=$_number
  done
}

# Is lock number `top` held by a process that lives?
lock_is_held() {
  [ "$top" -gt 0 ] || return 1
  _lock=$locks/lock.$top
  file_lives "$_lock"
}

# A lock that a guard holds is never stolen: an activation is under way, and two of them at once would ruin the host.
lock_is_to_be_stolen() { [ "$steal" = 1 ] && [ "$(field "$_lock" kind)" != guard ]; }

# Make FILE the lock after number `top`; fails when somebody else was faster.
lock_publish() { # FILE
  _next=$((top + 1))
  ln "$1" "$locks/lock.$_next" 2>/dev/null || return 1
  lock_find
  if [ "$top" -ne "$_next" ]; then # we were so slow that our number had come and gone
    rm -f "$locks/lock.$_next"
    return 1
  fi
  for _file in "$locks"/lock.*; do
    _number=${_file##*.}
    case $_number in '' | *[!0-9]*) continue ;; esac
    [ "$_number" -ge "$top" ] || rm -f "$_file"
  done
}

# Let go of the lock if TOKEN still holds it; what stands in FILE (or "free") comes after it.
lock_leave() { # TOKEN [FILE]
  lock_find
  [ "$top" -gt 0 ] && [ "$(field "$locks/lock.$top" token)" = "$1" ] || return 0
  _after=${2:-}
  if [ -z "$_after" ]; then
    _after=$locks/free.$$
    echo free >"$_after"
  fi
  lock_publish "$_after"
  _status=$?
  [ -n "${2:-}" ] || rm -f "$_after"
  return "$_status"
}

# The lines of a lock file, written for process PID.
lock_text() { # PID TOKEN KIND(controller|guard)
  born "$1"
  printf '%s\n' "token=$2" "kind=$3" "pid=$1" "started=$born" "boot=$this_boot" "since=$(date +%s)" \
    "owner=$owner" "host=$controller" "run=$run" "reason=$reason"
}

# A guard takes the lock over from the controller that started it, whose token it was given, and gives it back when it ends: so
# nobody comes between the activations of one run. From the guard: id token and what lock_text wants.
guard_lock() {
  { [ -d "$locks" ] || mkdir -p "$locks"; } && lock_text $$ "$id.guard.$$" guard >"$locks/mine.$$" || return
  _status=1 _tries=0
  while [ "$_status" != 0 ] && [ "$_tries" -lt 100 ]; do # the controller may let go of it at this very moment
    _tries=$((_tries + 1))
    lock_find
    rm -f "$locks/back.$$"
    if [ -n "$token" ] && [ "$top" -gt 0 ] && [ "$(field "$locks/lock.$top" token)" = "$token" ]; then
      cp "$locks/lock.$top" "$locks/back.$$" # it is the controller's, who gets it back
    elif lock_is_held; then
      sed 's/^/clanpy: the lock is held: /' "$_lock"
      break
    fi
    lock_publish "$locks/mine.$$"
    _status=$?
  done
  rm -f "$locks/mine.$$"
  return "$_status"
}

guard_unlock() {
  _back=$locks/back.$$
  if [ -e "$_back" ] && file_lives "$_back"; then lock_leave "$id.guard.$$" "$_back"; else lock_leave "$id.guard.$$"; fi
  rm -f "$_back"
}
