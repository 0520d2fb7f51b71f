{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  darwin = pkgs.stdenv.hostPlatform.isDarwin;
  name' = types.strMatching "[a-z_][a-z0-9_-]*";
  list = mkOption {
    type = types.listOf types.str;
    default = [ ];
  };
  account =
    { name, config, ... }:
    {
      options = {
        name = mkOption {
          type = name';
          default = name;
        };
        enable = mkOption {
          type = types.bool;
          default = true;
        };
        isNormalUser = mkOption {
          type = types.bool;
          default = false;
        };
        isSystemUser = mkOption {
          type = types.bool;
          default = false;
        };
        uid = mkOption {
          type = types.nullOr types.int;
          default = null;
        };
        group = mkOption {
          type = types.str;
          default = if darwin then "staff" else "users";
        };
        extraGroups = list;
        home = mkOption {
          type = types.nullOr types.str;
          default =
            if darwin then
              "/Users/${config.name}"
            else if config.isNormalUser then
              "/home/${config.name}"
            else
              "/var/empty";
          apply = home: if home == null then "/var/empty" else home;
        };
        createHome = mkOption {
          type = types.bool;
          default = config.isNormalUser;
        };
        shell = mkOption {
          type = types.nullOr (types.either types.package types.str);
          default = null;
        };
        description = mkOption {
          type = types.nullOr types.str;
          default = "";
        };
        packages = mkOption {
          type = types.listOf types.package;
          default = [ ];
        };
        openssh.authorizedKeys = {
          keys = list;
          keyFiles = mkOption {
            type = types.listOf types.path;
            default = [ ];
          };
        };
      };
    };
  accounts = builtins.filter (u: u.enable) (builtins.attrValues config.users.users);
  shellOf =
    u:
    if u.shell == null then
      (if darwin then "/bin/sh" else "/bin/bash")
    else if lib.isDerivation u.shell then
      "/run/current-system/sw${u.shell.shellPath or "/bin/${lib.getName u.shell}"}"
    else
      u.shell;
  shellPackages = builtins.filter lib.isDerivation (map (u: u.shell) accounts);
  orDash = v: if v == null || v == "" then "-" else builtins.replaceStrings [ "\t" "\n" ":" ] [ " " " " " " ] (toString v);
  line = lib.concatMapStringsSep "\t" orDash;
  keysOf = u: u.openssh.authorizedKeys.keys ++ map lib.fileContents u.openssh.authorizedKeys.keyFiles;
  keyFolder = if darwin then "ssh/nix_authorized_keys.d" else "ssh/authorized_keys.d";
in
{
  options.users = {
    users = mkOption {
      type = types.attrsOf (types.freeformSubmodule account);
      default = { };
    };
    groups = mkOption {
      type = types.attrsOf (
        types.freeformSubmodule {
          options = {
            gid = mkOption {
              type = types.nullOr types.int;
              default = null;
            };
            members = list;
          };
        }
      );
      default = { };
    };
    knownUsers = list;
    motd = mkOption {
      type = types.nullOr types.lines;
      default = null;
    };
    mutableUsers = mkOption {
      type = types.bool;
      default = true;
    };
  };

  config = {
    environment.systemPackages = shellPackages;
    environment.etc = lib.mkMerge [
      (builtins.listToAttrs (
        map (
          u:
          lib.nameValuePair "${keyFolder}/${u.name}" {
            # sshd follows no link into a folder that a group may write to, and the store is one
            mode = "0444";
            text = lib.concatLines (keysOf u);
          }
        ) (builtins.filter (u: keysOf u != [ ]) accounts)
      ))
      (lib.mkIf (config.users.motd != null) { motd.text = config.users.motd; })
      (builtins.listToAttrs (
        map (
          u:
          lib.nameValuePair "profiles/per-user/${u.name}" {
            source = pkgs.buildEnv {
              name = "user-environment";
              paths = u.packages;
            };
          }
        ) (builtins.filter (u: u.packages != [ ]) accounts)
      ))
    ];
    system.build.accounts = lib.concatLines (
      lib.mapAttrsToList (n: g: line [ "group" n g.gid ]) config.users.groups
      ++ map (
        u:
        line [
          "user"
          u.name
          u.uid
          u.group
          u.home
          (shellOf u)
          (if u.isSystemUser then 400 else if darwin then 501 else 1000)
          u.description
          (lib.concatStringsSep "," (
            lib.unique (
              u.extraGroups
              ++ builtins.attrNames (lib.filterAttrs (_: g: builtins.elem u.name g.members) config.users.groups)
            )
          ))
        ]
      ) accounts
    );
  };
}
