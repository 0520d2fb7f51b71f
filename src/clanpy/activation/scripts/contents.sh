# What lies in store paths, told briefly enough to be compared with others. Nothing is changed. Variables, each some words:
# closure (paths: all that they refer to), trees (folders: their files, by checksum), boots (systems: what only a boot exchanges),
# secrets (0|1: which secrets are there, by digests that say nothing to others)
files_of() { # NUMBER FOLDER: what a file is a link to counts; what a folder is a link to does not, but for the folders of units
  (
    CDPATH='' cd -P -- "$2" 2>/dev/null || exit 0
    {
      {
        find . -type l -o -type f
        for _linked in ./systemd/system ./systemd/user; do
          [ ! -L "$_linked" ] || find "$_linked/" -type l -o -type f
        done
      } | while IFS= read -r _file; do
        if [ -f "$_file" ]; then
          printf '%s\000' "$_file"
        else
          printf '|link %s %s %s\n' "$1" "$(readlink "$_file")" "$_file" >&3
        fi
      done | xargs -0 cksum | sed "s/^/|file $1 /"
    } 3>&1
  )
}

if [ -n "$closure" ]; then
  # shellcheck disable=SC2086 # words
  { nix-store --query --requisites $closure && echo all; } 2>/dev/null | sed 's/^/|path /'
fi
number=0
for folder in $trees; do
  files_of "$number" "$root$folder"
  number=$((number + 1))
done
number=0
for path in $boots; do
  boot_of "$number" "$root$path"
  number=$((number + 1))
done
if [ "$secrets" = 1 ]; then
  places 0
  record=$vault/secrets/current
  if [ -e "$record/here" ] && [ -r "$record/record" ]; then sed 's/^/|secret /' "$record/record"; fi
fi
say "end=contents"
