# The generations of a profile, and what each leads to. Variables: kind account
if [ "$kind" = system ]; then
  profile=$root/nix/var/nix/profiles/system
else
  profile=$(home_profile "$account" "$root$(home_of "$account")")
fi
now=$(readlink "$profile")
say "current=${now##*/}"
for link in "$profile"-*-link; do
  path=$(resolve "$link") || continue
  # GNU and busybox have `stat -c`, BSD and macOS `stat -f`.
  made=$(stat -c %Y "$link" 2>/dev/null) || made=$(stat -f %m "$link" 2>/dev/null)
  say "${link##*/}=${made:-0} $path"
done
say "end=generations"
