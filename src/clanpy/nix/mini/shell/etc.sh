# shellcheck shell=sh
# Files under /etc. Every link goes through /etc/static, so that turning that one link over changes them all at once.
# `$1/etc` holds the files, `$1/etc-list` says for each: mode ("symlink" or octal), owner, path; sorted by path.
# A foreign file in the way is kept beside the new one and comes back when the new one goes.

state=/var/lib/mini
tab=$(printf '\t')

have_folder() { [ -d "$1" ] || mkdir -p "$1"; }

atomic_link() { # TARGET LINK
  ln -sfn "$1" "$2.mini-new" && mv -fT "$2.mini-new" "$2"
}

is_ours() { # path below /etc
  [ -e "$state/etc-paths" ] && grep -qxF -- "$1" "$state/etc-paths"
}

keep_foreign() { # path below /etc
  if is_ours "$1"; then return 0; fi
  if [ -d "/etc/$1" ] && [ ! -L "/etc/$1" ]; then
    echo "/etc/$1 is a folder: it is left as it is" >&2
    return 1
  fi
  if [ -e "/etc/$1" ] && [ ! -e "/etc/$1.before-mini" ]; then
    cp -aT "/etc/$1" "/etc/$1.before-mini"
  fi
}

place_file() { # SYSTEM MODE OWNER PATH
  case $4 in
    */*) have_folder "/etc/${4%/*}" ;;
  esac
  if [ "$2" = symlink ]; then
    if [ -L "/etc/$4" ] && [ "/etc/$4" -ef "/etc/static/$4" ]; then return 0; fi
    keep_foreign "$4" && atomic_link "/etc/static/$4" "/etc/$4"
  else
    keep_foreign "$4" || return 1
    if [ -L "/etc/$4" ] || ! cmp -s "$1/etc/$4" "/etc/$4"; then
      cp "$1/etc/$4" "/etc/$4.mini-new" && chmod "$2" "/etc/$4.mini-new" && chown "$3" "/etc/$4.mini-new" &&
        mv -fT "/etc/$4.mini-new" "/etc/$4"
    else
      chmod "$2" "/etc/$4" && chown "$3" "/etc/$4"
    fi
  fi
}

remove_file() { # path below /etc
  if [ -e "/etc/$1.before-mini" ]; then
    mv -fT "/etc/$1.before-mini" "/etc/$1"
  else
    rm -f "/etc/$1"
    case $1 in
      */*) rmdir -p --ignore-fail-on-non-empty "/etc/${1%/*}" 2>/dev/null || true ;;
    esac
  fi
}

setup_etc() { # SYSTEM
  etc_failed=0
  have_folder /etc
  have_folder "$state"
  atomic_link "$1/etc" /etc/static
  while IFS=$tab read -r mode owner path; do
    place_file "$1" "$mode" "$owner" "$path" || etc_failed=1
  done <"$1/etc-list"
  cut -f3 "$1/etc-list" >"$state/etc-paths.new"
  if [ -e "$state/etc-paths" ]; then
    LC_ALL=C comm -23 "$state/etc-paths" "$state/etc-paths.new" | while IFS= read -r path; do
      remove_file "$path"
    done
  fi
  mv -f "$state/etc-paths.new" "$state/etc-paths"
  return "$etc_failed"
}
