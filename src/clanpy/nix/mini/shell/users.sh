# shellcheck shell=sh
# Accounts, added to what the host has: an account that was there before keeps its shell, home and number.
# `$1/accounts` has a line a group ("group", name, number) and a line an account ("user", name, number, group, home, shell,
# first number, description, further groups with commas); "-" stands for what is not set.

rewrite() { # FILE SED-SCRIPT: whole or not at all, with owner and mode kept
  cp -pT "$1" "$1.mini-new" && sed -e "$2" "$1" >"$1.mini-new" && mv -fT "$1.mini-new" "$1"
}

describes() { # NAME END: whether the line of an account ends like this
  while IFS= read -r line; do
    case $line in "$1:"*) case $line in *"$2") return 0 ;; *) return 1 ;; esac ;; esac
  done </etc/passwd
  return 1
}

has_entry() { # FILE NAME
  grep -q "^$2:" "$1"
}

free_number() { # FILE FIRST
  number=$2
  while grep -q "^[^:]*:[^:]*:$number:" "$1"; do number=$((number + 1)); done
  echo "$number"
}

ensure_group() { # NAME NUMBER|-
  if has_entry /etc/group "$1"; then return 0; fi
  gid=$2
  [ "$gid" != - ] || gid=$(free_number /etc/group 990)
  rewrite /etc/group "\$a$1:x:$gid:"
}

join_group() { # USER GROUP
  if grep -q "^$2:[^:]*:[^:]*:\(.*,\)*$1\(,.*\)*\$" /etc/group; then return 0; fi
  rewrite /etc/group "/^$2:/{s/:\$/:$1/;t
s/\$/,$1/}"
}

ensure_home() { # USER HOME
  if [ -d "$2" ]; then return 0; fi
  mkdir -p "$2" && chown "$1" "$2" && chmod 700 "$2"
}

ensure_user() { # NAME NUMBER GROUP HOME SHELL FIRST DESCRIPTION GROUPS
  if ! has_entry /etc/passwd "$1"; then
    uid=$2
    [ "$uid" != - ] || uid=$(free_number /etc/passwd "$6")
    ensure_group "$3" -
    gid=$(sed -n "s/^$3:[^:]*:\([0-9]*\):.*/\1/p" /etc/group)
    echo "creating user $1"
    rewrite /etc/passwd "\$a$1:x:$uid:$gid::$4:/bin/sh"
    [ ! -e /etc/shadow ] || has_entry /etc/shadow "$1" || rewrite /etc/shadow "\$a$1:*:19000:0:99999:7:::"
    echo "$1" >>"$state/users-made"
  fi
  if grep -qxF -- "$1" "$state/users-made"; then
    full=$7
    [ "$full" != - ] || full=
    if ! describes "$1" ":$full:$4:$5"; then
      full=$(printf %s "$full" | sed 's/[\\&|]/\\&/g')
      rewrite /etc/passwd "s|^\($1:[^:]*:[^:]*:[^:]*\):.*|\1:$full:$4:$5|"
    fi
  fi
  ensure_home "$1" "$(sed -n "s/^$1:[^:]*:[^:]*:[^:]*:[^:]*:\([^:]*\):.*/\1/p" /etc/passwd)"
  if [ "$8" != - ]; then
    echo "$8" | tr , '\n' | while IFS= read -r group; do
      ensure_group "$group" - && join_group "$1" "$group"
    done
  fi
}

remove_user() { # NAME: only those that were made here; the home stays
  echo "removing user $1"
  rewrite /etc/passwd "/^$1:/d"
  [ ! -e /etc/shadow ] || rewrite /etc/shadow "/^$1:/d"
  rewrite /etc/group "s/^\([^:]*:[^:]*:[^:]*:.*\)\b$1\b,\{0,1\}/\1/;s/,\$//"
}

setup_users() { # SYSTEM
  have_folder "$state"
  touch "$state/users-made"
  while IFS=$tab read -r kind name number group home shell first description groups; do
    case $kind in
      group) ensure_group "$name" "$number" ;;
      user) ensure_user "$name" "$number" "$group" "$home" "$shell" "$first" "$description" "$groups" ;;
    esac
  done <"$1/accounts"
  while IFS= read -r name; do
    grep -q "^user$tab$name$tab" "$1/accounts" || remove_user "$name"
  done <"$state/users-made"
  while IFS= read -r name; do
    if has_entry /etc/passwd "$name"; then echo "$name"; fi
  done <"$state/users-made" >"$state/users-made.new"
  mv -f "$state/users-made.new" "$state/users-made"
}
