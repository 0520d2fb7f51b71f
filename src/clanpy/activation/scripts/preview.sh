# What an activation would do, where the class can tell. Nothing is changed. Variables: kind class account live backup
me=$(id -u)
places "$me"
case $class in
  nixos) "$live/bin/switch-to-configuration" dry-activate 2>&1 ;;
  darwin)
    # It can't tell: its script clears the environment, so that asking it for its checks alone might activate it.
    ;;
  home)
    home=$root$(home_of "$account")
    as_account env DRY_RUN=1 "$live/activate" --driver-version 1 2>&1
    ;;
esac | sed 's/^/|/'
say "end=preview"
