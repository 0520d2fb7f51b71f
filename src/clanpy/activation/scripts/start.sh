# Start a guard, detached from this connection and from everything that belongs to it.
# Variables: id mode(go|recover); functions that print the files: spec_text public_text guard_text
places "$(own_number)"
dir=$vault/runs/$id
fail() { # WORD: why there is no guard
  say "refused=$1"
  exit 1
}
[ -d "$vault/runs" ] || mkdir -p "$vault/runs" || fail unwritable
if [ "$mode" = go ]; then
  mkdir "$dir" 2>/dev/null || fail exists
  { public_text && echo "since=$(date +%s)"; } | put "$dir/public" || fail unwritable
elif ! [ -d "$dir" ]; then
  fail unknown
fi
if [ "$mode" = recover ] && file_lives "$dir/state"; then # somebody was faster: the host itself, after a reboot
  say "started=$id"
  exit
fi
{ # For a run that is recovered, what is said now comes after what was said then.
  [ "$mode" = go ] || cat "$dir/spec"
  spec_text
} | put "$dir/spec" || fail unwritable
guard_text >"$dir/guard.part" && mv -f "$dir/guard.part" "$dir/guard" || fail unwritable
[ ! -e "$dir/alive" ] || rm -f "$dir/alive"
(umask 077 && : >>"$dir/log") || fail unwritable

under_systemd() {
  [ -d "$root/run/systemd/system" ] && [ "$(own_number)" = 0 ] && has systemd-run || return 1
  systemd-run --unit="clanpy-$id" --description="clanpy activation $id" --collect --quiet --no-ask-password \
    --property=OOMScoreAdjust=-900 "$sh" "$dir/guard" "$mode" "$dir" </dev/null >>"$dir/log" 2>&1 && say "under=systemd"
}
# A job of launchd, which removes itself when there is a result. A guard that is killed is started again by it, to find an end.
# Where logins over SSH were given Full Disk Access, which a job would not have, a session of its own keeps it (lib.sh).
under_launchd() {
  has_launchd && [ "$(own_number)" = 0 ] || return 1
  printf '%s\n' "mode=$mode" "until [ -e '$dir/result' ]; do" "  $sh '$dir/guard' \"\$mode\" '$dir'" "  mode=recover" \
    "  [ -e '$dir/result' ] || sleep 2" "done" "launchctl remove 'clanpy.$id'" >"$dir/job" || return 1
  launchctl submit -l "clanpy.$id" -- "$sh" "$dir/job" </dev/null >>"$dir/log" 2>&1 && say "under=launchd"
}
# A session of its own, or at least a process group: neither a hangup nor the end of ours reaches it.
detached() {
  if has setsid; then
    setsid "$sh" "$dir/guard" "$mode" "$dir" </dev/null >/dev/null 2>&1 &
  elif has perl; then
    perl -e 'use POSIX; POSIX::setsid(); exec @ARGV' "$sh" "$dir/guard" "$mode" "$dir" </dev/null >/dev/null 2>&1 &
  else
    set -m
    "$sh" "$dir/guard" "$mode" "$dir" </dev/null >/dev/null 2>&1 &
  fi
  say "under=session"
}
under_systemd || under_launchd || detached

# It has begun when it has written its state, and not before. One that is recovered may turn out to have ended at the last moment.
waited=0
until [ -e "$dir/alive" ] || [ -e "$dir/result" ]; do
  [ "$waited" -lt 2500 ] || fail silent
  nap
done
say "started=$id"
