# Snippets of the activation script: those of the configuration and those of mini, each after the ones that it names.
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  snippet =
    { ... }:
    {
      options = {
        text = mkOption {
          type = types.lines;
          default = "";
        };
        deps = mkOption {
          type = types.listOf types.str;
          default = [ ];
        };
      };
    };
  all = config.system.activationScripts;
  # Depth first through the names that each depends on; a name that nobody has is an error.
  visit =
    path: done: name:
    if builtins.elem name done then
      done
    else if builtins.elem name path then
      throw "system.activationScripts: ${lib.concatStringsSep " -> " (path ++ [ name ])} go round in a circle"
    else if !(all ? ${name}) then
      throw "system.activationScripts.${lib.last path}.deps names '${name}', which does not exist"
    else
      builtins.foldl' (visit (path ++ [ name ])) done (all.${name}.deps) ++ [ name ];
  order = builtins.foldl' (visit [ ]) [ ] (builtins.attrNames all);
  render = name: ''
    #### Activation script snippet ${name}:
    (
    set -e
    ${all.${name}.text}
    )
    snippet_done ${lib.escapeShellArg name} "$?"
  '';
in
{
  options.system.activationScripts = mkOption {
    type = types.attrsOf (types.coercedTo types.str (text: { inherit text; }) (types.freeformSubmodule snippet));
    default = { };
  };

  config.system = {
    activationScripts = {
      groups = { };
      users = {
        text = "setup_users \"$systemConfig\"";
        deps = [ "groups" ];
      };
      etc = {
        text = "setup_etc \"$systemConfig\"";
        deps = [
          "users"
          "groups"
        ];
      };
    };
    build.snippets = lib.concatMapStringsSep "\n" render (builtins.filter (name: lib.trim all.${name}.text != "") order);
    build.functions = builtins.readFile ../shell/etc.sh + builtins.readFile ../shell/users.sh;
  };
}
