# home-manager: on its own (`homeManagerConfiguration`) and as a module of a system.
{ lib, packages }:
let
  dag = {
    entryAnywhere = data: dag.entryBetween [ ] [ ] data;
    entryAfter = after: data: dag.entryBetween [ ] after data;
    entryBefore = before: data: dag.entryBetween before [ ] data;
    entryBetween = before: after: data: { inherit before after data; };
  };
  hm = { inherit dag; };
  homeLib = lib // { inherit hm; };

  baseModules = pkgs: [
    ./home.nix
    ./programs.nix
    {
      _file = "<mini>";
      key = "<mini>:home-pkgs";
      config._module.args.pkgs = lib.mkDefault pkgs;
    }
  ];

  finish =
    config:
    let
      failed = map (a: a.message) (builtins.filter (a: !a.assertion) config.assertions);
    in
    if failed != [ ] then
      throw "\nFailed assertions:\n${lib.concatMapStringsSep "\n" (m: "- ${m}") failed}"
    else
      builtins.foldl' (d: warning: lib.warn warning d) config.home.activationPackage config.warnings;

  homeManagerConfiguration =
    {
      pkgs,
      modules ? [ ],
      extraSpecialArgs ? { },
      lib ? null,
      ...
    }:
    let
      evaluated = homeLib.evalModules {
        freeform = true;
        class = "homeManager";
        specialArgs = {
          lib = homeLib;
          osConfig = null;
        }
        // extraSpecialArgs;
        modules = baseModules pkgs ++ modules;
      };
    in
    evaluated
    // {
      activationPackage = finish evaluated.config;
      inherit pkgs;
      newsDisplay = "silent";
    };

  systemModule =
    {
      config,
      lib,
      pkgs,
      ...
    }:
    let
      inherit (lib) mkOption types;
      cfg = config.home-manager;
      darwin = pkgs.stdenv.hostPlatform.isDarwin;
      backup = lib.optionalString (cfg.backupFileExtension != null) "HOME_MANAGER_BACKUP_EXT=${lib.escapeShellArg cfg.backupFileExtension} ";
      account = name: config.users.users.${name} or { };
      homeOf = name: (account name).home or (if darwin then "/Users/${name}" else "/home/${name}");
      perUser =
        { name, ... }:
        {
          _file = "<mini>";
          key = "<mini>:home-of-user";
          config.home = {
            username = lib.mkDefault name;
            homeDirectory = lib.mkDefault (homeOf name);
          };
        };
      packageOf = name: finish cfg.users.${name};
    in
    {
      _file = "<mini>";
      key = "<mini>:home-manager";
      options.home-manager = {
        users = mkOption {
          type = types.attrsOf (
            types.submoduleWith {
              freeform = true;
              description = "Home Manager module";
              specialArgs = {
                lib = homeLib;
                osConfig = config;
              }
              // cfg.extraSpecialArgs;
              modules = baseModules pkgs ++ [ perUser ] ++ cfg.sharedModules;
            }
          );
          default = { };
        };
        extraSpecialArgs = mkOption {
          type = types.attrs;
          default = { };
        };
        sharedModules = mkOption {
          type = types.listOf types.raw;
          default = [ ];
        };
        useGlobalPkgs = lib.mkEnableOption "the system's packages";
        useUserPackages = lib.mkEnableOption "installation through users.users";
        backupFileExtension = mkOption {
          type = types.nullOr types.str;
          default = null;
        };
        verbose = lib.mkEnableOption "verbose output";
      };
      config = lib.mkIf (cfg.users != { }) {
        users.users = lib.mkIf cfg.useUserPackages (builtins.mapAttrs (_: u: { inherit (u.home) packages; }) cfg.users);
        systemd.services = lib.mkIf (!darwin) (
          lib.mapAttrs' (
            name: _:
            lib.nameValuePair "home-manager-${name}" {
              description = "Home Manager environment for ${name}";
              wantedBy = [ "multi-user.target" ];
              after = [ "nix-daemon.socket" ];
              environment.HOME_MANAGER_BACKUP_EXT = cfg.backupFileExtension;
              serviceConfig = {
                User = name;
                Type = "oneshot";
                RemainAfterExit = "yes";
                ExecStart = "${packageOf name}/activate --driver-version 1";
              };
            }
          ) cfg.users
        );
        system.activationScripts = lib.mkIf darwin {
          homes = {
            deps = [
              "users"
              "etc"
            ];
            text = lib.concatMapStrings (name: ''
              echo 'Activating home-manager configuration for ${name}'
              sudo -u ${name} --set-home env USER=${name} ${backup}${packageOf name}/activate --driver-version 1
            '') (builtins.attrNames cfg.users);
          };
          postActivation.deps = [ "homes" ];
        };
      };
    };
in
{
  inherit homeManagerConfiguration hm systemModule;
}
