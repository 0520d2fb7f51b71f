# Programs whose configuration files are written; the settings of all others are taken as they are.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkIf;
  on = name: config.programs.${name}.enable or false;
  get = name: field: default: config.programs.${name}.${field} or default;
  isOn = name: p: builtins.isAttrs p && p.enable or false == true && builtins.isAttrs pkgs.${name} or null;
  aliases = name: config.home.shellAliases // get name "shellAliases" { };
  aliasLines = name: lib.concatStrings (lib.mapAttrsToList (k: v: "alias ${k}=${lib.escapeShellArg v}\n") (aliases name));
  joined = name: fields: lib.concatMapStrings (f: let text = get name f ""; in lib.optionalString (text != "") "${text}\n") fields;
  git = config.programs.git or { };
  gitSettings = lib.recursiveUpdate (
    lib.optionalAttrs (git ? userName) { user.name = git.userName; } // { }
  ) (lib.recursiveUpdate (lib.optionalAttrs (git ? userEmail) { user.email = git.userEmail; }) (lib.recursiveUpdate (git.extraConfig or { }) (git.settings or { })));
in
{
  config = {
    home.packages = map (name: pkgs.${name}) (builtins.attrNames (lib.filterAttrs isOn (config.programs or { })));
    home.file = {
      ".config/git/config" = mkIf (on "git" && gitSettings != { }) { text = lib.generators.toGitINI gitSettings; };
      ".config/git/ignore" = mkIf (on "git" && git ? ignores) { text = lib.concatLines git.ignores; };
      ".zshrc" = mkIf (on "zsh") { text = aliasLines "zsh" + joined "zsh" [ "initExtra" "initContent" ]; };
      ".bashrc" = mkIf (on "bash") { text = aliasLines "bash" + joined "bash" [ "bashrcExtra" "initExtra" ]; };
      ".config/fish/config.fish" = mkIf (on "fish") { text = aliasLines "fish" + joined "fish" [ "shellInit" "interactiveShellInit" ]; };
      ".config/starship.toml" = mkIf (on "starship") { text = lib.toTOML (get "starship" "settings" { }); };
      ".tmux.conf" = mkIf (on "tmux") { text = joined "tmux" [ "extraConfig" ]; };
      ".ssh/config" = mkIf (on "ssh") { text = joined "ssh" [ "extraConfig" ]; };
    };
  };
}
