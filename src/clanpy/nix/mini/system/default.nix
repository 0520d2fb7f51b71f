# `nixosSystem` and `darwinSystem`: one evaluator and mostly the same options, two outputs.
{ lib, packages }:
let
  common = [
    (import ./common.nix { inherit packages; })
    ./etc.nix
    ./users.nix
    ./units.nix
    ./services.nix
    ./activation.nix
  ];

  platform =
    {
      system ? null,
      pkgs ? null,
      ...
    }:
    {
      _file = "<mini>";
      key = "<mini>:platform";
      config.nixpkgs = {
        system = lib.mkIf (system != null) (lib.mkDefault system);
        pkgs = lib.mkIf (pkgs != null) (lib.mkDefault pkgs);
      };
    };

  evaluate =
    class: args: more:
    lib.evalModules {
      freeform = true;
      inherit class;
      specialArgs = lib.optionalAttrs (args ? inputs) { inherit (args) inputs; } // args.specialArgs or { };
      modules = [ (platform args) ] ++ common ++ more ++ args.modules or [ ];
    };

  # What is built is only handed out when all assertions hold.
  checked =
    config: drv:
    let
      failed = map (a: a.message) (builtins.filter (a: !a.assertion) config.assertions);
    in
    if failed != [ ] then
      throw "\nFailed assertions:\n${lib.concatMapStringsSep "\n" (m: "- ${m}") failed}"
    else
      builtins.foldl' (d: warning: lib.warn warning d) drv config.warnings;

  finish =
    evaluated:
    let
      inherit (evaluated) config;
      toplevel = checked config config.system.build.toplevel;
    in
    evaluated
    // {
      inherit lib toplevel;
      inherit (evaluated._module.args) pkgs;
      config = lib.recursiveUpdate config { system.build = { inherit toplevel; }; };
    };

  nixosSystem =
    args:
    let
      # a specialisation is this system with more modules, and none of its own
      extend = more: (nixosSystem (args // { modules = args.modules or [ ] ++ more; })).toplevel;
    in
    finish (
      evaluate "nixos" args [
        ./nixos.nix
        { _module.args.extendSystem = module: extend [ module { specialisation = lib.mkForce { }; } ]; }
      ]
    );
  darwinSystem =
    args:
    let
      result = finish (evaluate "darwin" args [ ./darwin.nix ]);
    in
    result // { system = result.toplevel; };
in
{
  inherit nixosSystem darwinSystem;
}
