# The secrets of a host: sets, of which one counts. A set is a folder in $vault/secrets, and `current` leads to one of them; what
# services and users read is in memory, in $memory/<set>, and links in the set lead there. One rename of `current` exchanges everything.
# In a set: about (run=, previous=), here (leads to a file in memory), record (a keyed digest and a name a line), units (a name and units
# a line), changed (units of what changed with it), restart (units that wait for their restart), late (files whose owner was not there),
# digest (keyed; written last).
sets=$root/var/lib/clanpy/secrets memory=$root/run/clanpy-secrets

# Replace a link in one step, whichever `mv` there is (one that follows links to folders would move into the folder).
swap() { # NEW LINK
  mv -fT "$1" "$2" 2>/dev/null || mv -fh "$1" "$2" 2>/dev/null || perl -e 'rename($ARGV[0], $ARGV[1]) or exit 1' "$1" "$2"
}

pivot() { # SET
  rm -f "$sets/.next" && ln -s "$1" "$sets/.next" && swap "$sets/.next" "$sets/current"
}

# Give files to owners that were not there when they were written: accounts that the system's activation made.
settle_owners() {
  [ -s "$sets/current/late" ] || return 0
  while read -r _owner _file; do
    chown "$_owner" "$_file" 2>/dev/null || echo "clanpy: the secret $_file stays root's: there is no $_owner on this host"
  done <"$sets/current/late"
}

restart_units() { # units that run, or that failed, perhaps for want of what is there now; others read it when they start
  [ -s "$sets/current/restart" ] || return 0
  if has systemctl && [ -d "$root/run/systemd/system" ]; then
    while read -r _unit; do
      systemctl is-active --quiet "$_unit" || systemctl is-failed --quiet "$_unit" || continue
      echo "clanpy: restarting $_unit: its secret has changed"
      systemctl restart "$_unit" </dev/null || echo "clanpy: $_unit could not be restarted"
    done <"$sets/current/restart"
  fi
  rm -f "$sets/current/restart"
}

# After an activation: what had to wait for it.
secrets_applied() {
  settle_owners
  restart_units
}

# Put the set back that was there before the one that RUN brought, if it did bring one.
secrets_back() { # RUN
  [ -e "$sets/current/about" ] && [ "$(field "$sets/current/about" run)" = "$1" ] || return 0
  _before=$(field "$sets/current/about" previous)
  _new=$(readlink "$sets/current")
  if [ -z "$_before" ] || ! [ -d "$sets/$_before" ]; then
    rm -f "$sets/current"
  else
    cat "$sets/current/changed" >>"$sets/$_before/restart" 2>/dev/null
    pivot "$_before" || return
  fi
  echo "clanpy: the secrets from before are back"
  rm -rf "${sets:?}/$_new" "${memory:?}/$_new"
}

# At the end of an activation, whatever it is: secrets that came with what does not stay don't stay either.
settle_secrets() { # OUTCOME
  case $1 in failed | rolled_back) secrets_back "$run" ;; esac
  secrets_applied
}
