# What an activation would do, where the class can tell. Nothing is changed. Variables: kind class account live backup
me=$(id -u)
places "$me"
case $class in
  nixos)
    NIXOS_ACTION=dry-activate "$live/bin/switch-to-configuration" dry-activate 2>&1
    ;;
  darwin)
    checkActivation=1 "$live/activate" 2>&1 # the checks alone: there is no more that darwin can tell
    ;;
  home)
    home=$root$(home_of "$account")
    as_account env DRY_RUN=1 "$live/activate" --driver-version 1 2>&1
    ;;
esac | sed 's/^/|/'
say "end=preview"
