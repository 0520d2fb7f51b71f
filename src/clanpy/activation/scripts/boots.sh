# What of a system only a boot exchanges, told as lines that begin with a mark of the caller's choice.
boot_of() { # MARK SYSTEM
  for _part in kernel initrd; do
    [ ! -e "$2/$_part" ] || printf '|boot %s %s %s\n' "$1" "$_part" "$(resolve_file "$2/$_part")"
  done
  for _part in kernel-modules systemd; do
    ! _path=$(resolve "$2/$_part") || printf '|boot %s %s %s\n' "$1" "$_part" "$_path"
  done
  _params=
  [ ! -r "$2/kernel-params" ] || IFS= read -r _params <"$2/kernel-params" || :
  printf '|boot %s kernel-params %s\n' "$1" "$_params"
}
