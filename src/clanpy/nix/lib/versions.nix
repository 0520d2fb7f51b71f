# What a system and the homes on it install: names and versions. Nothing is built for it, and nothing is written to the store.
{
  # results of nixosSystem or darwinSystem (or none), and of homeManagerConfiguration
  systems,
  homes,
}:
let
  inherit (builtins) attrValues concatMap filter tryEval;

  ofSystem =
    { config, ... }:
    (config.environment.systemPackages or [ ])
    ++ concatMap (user: user.packages or [ ]) (attrValues (config.users.users or { }))
    ++ concatMap (home: home.home.packages or [ ]) (attrValues (config.home-manager.users or { }))
    ++ (if config ? boot.kernelPackages.kernel then [ config.boot.kernelPackages.kernel ] else [ ]);

  about =
    package:
    let
      parsed = builtins.parseDrvName package.name;
      found = {
        name = package.pname or parsed.name;
        version = package.version or parsed.version;
      };
    in
    builtins.deepSeq found found;

  # A package that can't be evaluated is left out, and counted: the rest can be told all the same.
  tried = map (package: tryEval (about package)) (concatMap ofSystem systems ++ concatMap (home: home.config.home.packages) homes);
  good = filter (found: found.success) tried;
in
{
  packages = map (found: found.value) good;
  broken = builtins.length tried - builtins.length good;
}
