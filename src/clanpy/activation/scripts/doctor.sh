# What else it takes to deploy to a host: what its Nix allows whom, and what is there to work with. Comes after the facts, in the same
# round trip; nothing is changed.
if has nix; then
  _config=$(NIX_CONFIG='extra-experimental-features = nix-command' nix show-config 2>/dev/null) ||
    _config=$(NIX_CONFIG='extra-experimental-features = nix-command' nix config show 2>/dev/null) || _config=
  printf '%s\n' "$_config" | while IFS= read -r _line; do
    _key=${_line%% = *}
    case $_key in
      trusted-users | require-sigs | sandbox | system | extra-platforms) say "doctor.$_key=${_line#"$_key = "}" ;;
    esac
  done
  for _program in nix-store nix-daemon; do
    has "$_program" || say "doctor.lacks.$_program=1"
  done
fi
say "doctor.groups=$(id -Gn 2>/dev/null)"
if has systemd-run && [ -d "$root/run/systemd/system" ]; then
  say "doctor.supervisor=systemd"
elif has_launchd; then
  say "doctor.supervisor=launchd"
elif has setsid; then
  say "doctor.supervisor=setsid"
fi
say "doctor.end=1"
