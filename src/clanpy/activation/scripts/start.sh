# Start a guard, detached from this connection and from everything that belongs to it.
# Variables: id mode(go|recover); functions that print the files: spec_text public_text guard_text
places "$(id -u)"
dir=$vault/runs/$id
fail() { # WORD: why there is no guard
  say "refused=$1"
  exit 1
}
mkdir -p "$vault/runs" || fail unwritable
if [ "$mode" = go ]; then
  mkdir "$dir" 2>/dev/null || fail exists
  { public_text && echo "since=$(date +%s)"; } | put "$dir/public" || fail unwritable
elif ! [ -d "$dir" ]; then
  fail unknown
fi
{ # For a run that is recovered, what is said now comes after what was said then.
  [ "$mode" = go ] || cat "$dir/spec"
  spec_text
} | put "$dir/spec" || fail unwritable
guard_text | put "$dir/guard" || fail unwritable
rm -f "$dir/alive"
(umask 077 && : >>"$dir/log") || fail unwritable

under_systemd() {
  [ -d "$root/run/systemd/system" ] && [ "$(id -u)" = 0 ] && has systemd-run || return 1
  systemd-run --unit="clanpy-$id" --description="clanpy activation $id" --collect --quiet --no-ask-password \
    --property=OOMScoreAdjust=-900 "$sh" "$dir/guard" "$mode" "$dir" </dev/null >>"$dir/log" 2>&1 && say "under=systemd"
}
under_launchd() {
  [ "$(uname -s)" = Darwin ] && [ "$(id -u)" = 0 ] && has launchctl || return 1
  plist_text "$dir" | put "$dir/job.plist" || return 1
  if launchctl bootstrap system "$dir/job.plist" </dev/null >>"$dir/log" 2>&1; then
    say "under=launchd"
  else
    rm -f "$dir/job.plist"
    return 1
  fi
}
plist_text() { # DIR
  cat <<END
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>
<key>Label</key><string>org.clanpy.$id</string>
<key>ProgramArguments</key>
<array><string>$sh</string><string>$1/guard</string><string>$mode</string><string>$1</string></array>
<key>RunAtLoad</key><true/><key>LaunchOnlyOnce</key><true/><key>AbandonProcessGroup</key><true/>
</dict></plist>
END
}
detached() { # a session of its own: neither a hangup nor the end of our process group reaches it
  if has setsid; then
    setsid "$sh" "$dir/guard" "$mode" "$dir" </dev/null >/dev/null 2>&1 &
  else
    nohup perl -e 'use POSIX; POSIX::setsid(); exec @ARGV' "$sh" "$dir/guard" "$mode" "$dir" </dev/null >/dev/null 2>&1 &
  fi
  say "under=session"
}
under_systemd || under_launchd || detached

# It has begun when it has written its state, and not before.
waited=0
until [ -e "$dir/alive" ]; do
  [ "$waited" -lt 1000 ] || fail silent
  nap
done
say "started=$id"
