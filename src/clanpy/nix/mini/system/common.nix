# What both kinds of system have: packages, their platform, names, checks.
{ packages }:
{ config, lib, ... }:
let
  inherit (lib) mkOption types;
  platform = config.nixpkgs.hostPlatform;
  system = if builtins.isAttrs platform then platform.system else platform;
  base =
    if config.nixpkgs.pkgs != null then
      config.nixpkgs.pkgs
    else
      packages.${system} or (throw "mini knows no platform '${system}'");
  # Spoken for by files of their own, or no settings of the machine.
  elsewhere = [
    "assertions"
    "environment"
    "home-manager"
    "launchd"
    "lib"
    "nixpkgs"
    "specialisation"
    "system"
    "systemd"
    "users"
    "warnings"
  ];
  variables = config.environment.variables // config.environment.sessionVariables;
in
{
  options = {
    nixpkgs = {
      hostPlatform = mkOption {
        type = types.either types.str types.attrs;
        default = config.nixpkgs.system;
      };
      system = mkOption {
        type = types.str;
        default = throw "Neither `nixpkgs.hostPlatform` nor the argument `system` is set";
      };
      pkgs = mkOption {
        type = types.raw;
        default = null;
      };
      overlays = mkOption {
        type = types.listOf types.raw;
        default = [ ];
      };
      config = mkOption {
        type = types.anything;
        default = { };
      };
    };
    networking.hostName = mkOption {
      type = types.strMatching "([[:alnum:]]([[:alnum:]_-]*[[:alnum:]])?)?";
      default = "nixos";
    };
    environment = {
      systemPackages = mkOption {
        type = types.listOf types.package;
        default = [ ];
      };
      variables = mkOption {
        type = types.attrsOf types.anything;
        default = { };
      };
      sessionVariables = mkOption {
        type = types.attrsOf types.anything;
        default = { };
      };
      shellAliases = mkOption {
        type = types.attrsOf types.str;
        default = { };
      };
    };
    assertions = mkOption {
      type = types.listOf types.unspecified;
      default = [ ];
    };
    warnings = mkOption {
      type = types.listOf types.str;
      default = [ ];
    };
    system = {
      build = mkOption {
        type = types.lazyAttrsOf types.raw;
        default = { };
      };
      stateVersion = mkOption {
        type = types.either types.str types.int;
        default = lib.release;
      };
    };
  };

  config = {
    _module.args.pkgs = base.appendOverlays config.nixpkgs.overlays;
    system.build = {
      path = base.buildEnv {
        name = "system-path";
        paths = config.environment.systemPackages;
      };
      # Every other setting in one file, so that none is without effect on what is built.
      settings = builtins.toJSON (lib.plainData (builtins.removeAttrs config elsewhere));
    };
    environment.systemPackages = [
      base.bash
      base.coreutils
    ];
    # what the host has comes first, so that no stand-in gets in its way
    environment.etc."profile.d/10-mini.sh".text =
      "PATH=$PATH:/run/current-system/sw/bin\n"
      + lib.concatStrings (
        lib.mapAttrsToList (
          k: v: "export ${k}=${lib.escapeShellArg (if builtins.isList v then lib.concatStringsSep ":" v else toString v)}\n"
        ) variables
      )
      + lib.concatStrings (lib.mapAttrsToList (k: v: "alias ${k}=${lib.escapeShellArg v}\n") config.environment.shellAliases);
  };
}
