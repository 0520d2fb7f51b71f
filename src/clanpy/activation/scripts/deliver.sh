# Put a new set of secrets in place, whole or not at all. What is secret comes by standard input and is handled by what is built into
# the shell alone: no argument list, no environment and no file outside of memory ever holds it, but for what is needed before there is
# memory (`activation`, `partitioning`) or is encrypted (`sops`).
# Variables: act(deliver|back|apply) fresh run direct(0|1: sops-nix decrypts) apply(0|1: nothing is activated after it)
# Standard input, a line each:  file STORE OWNER GROUP MODE SIZE DIGEST UNITS NAME  and its content, for printf %b;  end DIGEST
refuse() { # WORD: why nothing was changed
  say "refused=$1"
  rm -rf "${sets:?}/$fresh" "${memory:?}/$fresh"
  exit 1
}

in_memory() { # FOLDER
  case $(stat -f -c %T "$1" 2>/dev/null) in tmpfs | ramfs) return 0 ;; esac
  mount 2>/dev/null | grep -q "${memory##*/} (hfs" # macOS tells where /run leads, and has no other memory than a disk of that
}

# A place in memory: where /run is one, a folder of it, and otherwise one of our own.
make_memory() {
  (umask 066 && mkdir -p "$memory") || return
  ! in_memory "$memory" || return 0
  if has hdiutil; then
    _disk=$(hdiutil attach -nomount ram://65536) || return
    # shellcheck disable=SC2086 # the name is followed by blanks
    newfs_hfs -v clanpy-secrets $_disk >/dev/null && mount -t hfs -o nobrowse,nodev,nosuid $_disk "$memory" || return
  else
    mount -t tmpfs -o mode=0711,nodev,nosuid,noexec clanpy-secrets "$memory" || return
  fi
  chmod 0711 "$memory"
  in_memory "$memory"
}

# Remove the sets that do not count any more: what was cut off, and all but the one that can be gone back to.
forget() {
  _now=$(readlink "$sets/current")
  _before=$(field "$sets/current/about" previous)
  for _old in "$sets"/* "$memory"/*; do
    case ${_old##*/} in current | "$_now" | "$_before" | "$fresh") ;; *) rm -rf "$_old" ;; esac
  done
}

put_file() { # STORE OWNER GROUP MODE SIZE DIGEST UNITS NAME; owner and mode are set before there is content
  case $1 in
    services | users) _into=$memory/$fresh/$1 ;;
    *) _into=$sets/$fresh/$1 ;;
  esac
  _file=$_into/$8
  [ -d "${_file%/*}" ] || mkdir -p "${_file%/*}" || return
  printf '' >"$_file" || return
  # `wheel` is what group 0 is called where root's group is not called root
  if ! chown "$2:$3" "$_file" 2>/dev/null && { [ "$3" != wheel ] || ! chown "$2:0" "$_file" 2>/dev/null; }; then
    echo "$2:$3 $_file" >>"$sets/$fresh/late" || return
  fi
  chmod "$4" "$_file" && printf '%b' "$content" >"$_file" || return
  [ "$(wc -c <"$_file")" -eq "$5" ] || return
  echo "$6 $1/$8" >>"$sets/$fresh/record" || return
  [ "$7" = - ] || echo "$1/$8 $7" >>"$sets/$fresh/units" || return
  case $1 in services | users) [ -e "$sets/$fresh/$1" ] || ln -s "$memory/$fresh/$1" "$sets/$fresh/$1" ;; esac
}

read_all() {
  digest=
  while read -r word store owner group mode size tag units name; do
    case $word in
      file)
        IFS= read -r content || break
        put_file "$store" "$owner" "$group" "$mode" "$size" "$tag" "$units" "$name" 2>/dev/null || refuse full
        ;;
      end) digest=$store && break ;;
    esac
  done
  content=
  [ -n "$digest" ] || refuse cut_off
}

# The units of what is not as it was, and of what still waited.
note_changes() {
  _known=$sets/current/record
  [ -e "$sets/current/here" ] || _known=/dev/null
  while read -r tag name; do
    grep -qxF -- "$tag $name" "$_known" 2>/dev/null || echo "$name"
  done <"$sets/$fresh/record" >"$sets/$fresh/names" || return
  {
    [ ! -e "$sets/$fresh/units" ] || while read -r name units; do
      ! grep -qxF -- "$name" "$sets/$fresh/names" || echo "$units" | tr , '\n'
    done <"$sets/$fresh/units"
  } | sort -u >"$sets/$fresh/changed" || return
  cat "$sets/$fresh/changed" "$sets/current/restart" 2>/dev/null | sort -u >"$sets/$fresh/restart"
}

# Where secrets are read, there is a link that stays. What was there before us is moved aside after the new set counts.
outer() { # LINK PART late(0|1)
  [ -e "$sets/$fresh/$2" ] || [ -L "$sets/$fresh/$2" ] || return 0
  [ "$(readlink "$1")" != "$sets/current/$2" ] || return 0
  if [ -e "$1" ] || [ -L "$1" ]; then
    [ "$3" = 1 ] || return 0
    [ -L "$1" ] || [ ! -d "$1" ] || mv "$1" "$1.before-clanpy" || return
  else
    (umask 022 && mkdir -p "${1%/*}") || return
  fi
  rm -f "$1.next" && ln -s "$sets/current/$2" "$1.next" && swap "$1.next" "$1"
}
outer_links() { # late
  outer "$root/run/secrets/vars" services "$1" && outer "$root/run/secrets-for-users/vars" users "$1" &&
    outer "$root/var/lib/sops-nix/activation" activation "$1" &&
    outer "$root/var/lib/sops-nix/partitioning" partitioning "$1" &&
    outer "$root/var/lib/sops-nix/vars" sops "$1" && outer "$root/var/lib/sops-nix/key.txt" key/key.txt "$1"
}

# A host that sops-nix serves from now on: it wants the folder of its own that our link is in.
leave_to_sops_nix() {
  [ "$direct" = 0 ] || return 0
  for _link in "$root/run/secrets/vars" "$root/run/secrets-for-users/vars"; do
    case $(readlink "$_link") in "$sets/current/"*) rm -f "$_link" && rmdir "${_link%/*}" 2>/dev/null ;; esac
  done
}

deliver() {
  (umask 022 && mkdir -p "$vault") || refuse unwritable
  umask 066
  mkdir -p "$sets" || refuse unwritable
  make_memory || refuse no_memory
  # sops-nix makes a new folder there at each activation, and what is in the old one is gone.
  [ ! -L "$root/run/secrets" ] || [ "$direct" = 0 ] || refuse sops_nix
  forget
  mkdir "$sets/$fresh" "$memory/$fresh" || refuse unwritable
  printf '%s\n' "run=$run" "previous=$(readlink "$sets/current")" >"$sets/$fresh/about" || refuse full
  printf '' >"$sets/$fresh/record" && printf '' >"$memory/$fresh/here" &&
    ln -s "$memory/$fresh/here" "$sets/$fresh/here" || refuse full
  read_all
  note_changes || refuse full
  outer_links 0 || refuse unwritable
  # what is on a disk has to be there before it counts
  ! grep -qv -e ' services/' -e ' users/' "$sets/$fresh/record" || sync -f "$sets" 2>/dev/null || sync
  pivot "$fresh" || refuse unwritable
  umask 022
  leave_to_sops_nix
  # The new set counts; until its digest is there, all of it is delivered once more.
  if outer_links 1; then echo "$digest" | put "$sets/$fresh/digest"; fi 2>/dev/null
  say "changed=$(wc -l <"$sets/$fresh/names" | tr -d ' ')"
  [ "$apply" = 0 ] || secrets_applied 2>&1 | sed 's/^/|/'
  forget
  say "delivered=$fresh"
}

places 0
case $act in
  deliver) deliver ;;
  back) secrets_back "$run" 2>&1 | sed 's/^/|/' && secrets_applied 2>&1 | sed 's/^/|/' && say "delivered=$fresh" ;;
  apply) secrets_applied 2>&1 | sed 's/^/|/' && say "delivered=$fresh" ;;
esac
