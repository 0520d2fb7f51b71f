#!/bin/sh
# Makes the files of one home what this generation says. Nothing is changed before it is known that nothing is in the way.
generation=@out@
expected_user=@user@
expected_home=@home@
export PATH="/usr/local/bin:/usr/bin:/bin:/nix/var/nix/profiles/default/bin:/run/current-system/sw/bin"
driver_version=0

while [ $# -gt 0 ]; do
  case $1 in
    --driver-version)
      driver_version=$2
      shift 2
      ;;
    *)
      echo "home-manager: unknown option $1" >&2
      exit 1
      ;;
  esac
done

USER=${USER:-$(id -un)}
if [ "$USER" != "$expected_user" ]; then
  echo "Error: USER is set to \"$USER\" but we expect \"$expected_user\"" >&2
  exit 1
fi
if [ "${HOME%/}" != "${expected_home%/}" ]; then
  echo "Error: HOME is set to \"$HOME\" but we expect \"$expected_home\"" >&2
  exit 1
fi

data=${XDG_STATE_HOME:-$HOME/.local/state}
roots=$data/home-manager/gcroots
profile=$data/nix/profiles/home-manager
echo "Starting Home Manager activation"

previous=
[ ! -e "$roots/current-home" ] || previous=$(readlink -f "$roots/current-home")

is_link_of_ours() { # PATH
  case $(readlink "$1") in
    @storeDir@/*-home-manager-files/*) return 0 ;;
  esac
  return 1
}

in_the_way() { # FILE
  { [ -e "$HOME/$1" ] || [ -L "$HOME/$1" ]; } && ! is_link_of_ours "$HOME/$1"
}

echo "Activating checkLinkTargets"
collision=
while IFS= read -r file; do
  in_the_way "$file" || continue
  if cmp -s "$generation/home-files/$file" "$HOME/$file"; then
    continue
  elif [ -z "${HOME_MANAGER_BACKUP_EXT:-}" ]; then
    echo "Existing file '$HOME/$file' would be clobbered" >&2
    collision=1
  elif [ -e "$HOME/$file.$HOME_MANAGER_BACKUP_EXT" ] && [ -z "${HOME_MANAGER_BACKUP_OVERWRITE:-}" ]; then
    echo "Existing file '$HOME/$file.$HOME_MANAGER_BACKUP_EXT' would be clobbered by backing up '$HOME/$file'" >&2
    collision=1
  fi
done <"$generation/home-list"
if [ -n "$collision" ]; then
  echo "Please do one of the following: move or remove these files, or set HOME_MANAGER_BACKUP_EXT and try again" >&2
  exit 1
fi

run() {
  if [ -n "${DRY_RUN:-}" ]; then echo "$*"; else "$@"; fi
}

echo "Activating linkGeneration"
run mkdir -p "$roots" "$data/nix/profiles"
root_generation() { # NAME
  if command -v nix-store >/dev/null; then
    run nix-store --realise "$generation" --add-root "$roots/$1" --indirect >/dev/null
  else
    run ln -sfn "$generation" "$roots/$1"
  fi
}
root_generation new-home || exit 1
while IFS= read -r file; do
  [ "$(readlink "$HOME/$file")" != "$(readlink -f "$generation/home-files")/$file" ] || continue
  case $file in
    */*) run mkdir -p "$HOME/${file%/*}" || exit 1 ;;
  esac
  if in_the_way "$file" && ! cmp -s "$generation/home-files/$file" "$HOME/$file"; then
    run mv -f "$HOME/$file" "$HOME/$file.$HOME_MANAGER_BACKUP_EXT" || exit 1
  fi
  run ln -sfn "$(readlink -f "$generation/home-files")/$file" "$HOME/$file.hm-new" &&
    run mv -fT "$HOME/$file.hm-new" "$HOME/$file" || exit 1
done <"$generation/home-list"

if [ -n "$previous" ] && [ -e "$previous/home-list" ]; then
  echo "Cleaning up orphan links from $HOME"
  LC_ALL=C comm -23 "$previous/home-list" "$generation/home-list" | while IFS= read -r file; do
    is_link_of_ours "$HOME/$file" || continue
    run rm -f "$HOME/$file"
    case $file in
      */*) (cd "$HOME" && run rmdir -p --ignore-fail-on-non-empty "${file%/*}") || true ;;
    esac
  done
fi

if [ "$driver_version" = 0 ]; then
  if command -v nix-env >/dev/null; then
    run nix-env --profile "$profile" --set "$generation" || exit 1
  else
    run ln -sfn "$generation" "$profile"
  fi
fi

@snippets@

if [ -z "${DRY_RUN:-}" ]; then
  root_generation current-home || exit 1
  rm -f "$roots/new-home"
fi
echo "Home Manager activation done"
