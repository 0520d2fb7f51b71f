# What package files ask of `lib` beside functions on values.
{ lib }:
{
  makeOverridable =
    f: args:
    let
      result = f args;
      override = change: lib.makeOverridable f (args // (if lib.isFunction change then change args else change));
    in
    if builtins.isAttrs result then
      result // { inherit override; }
    else if lib.isFunction result then
      lib.setFunctionArgs result (lib.functionArgs result) // { inherit override; }
    else
      result;
  callPackageWith =
    available: file: given:
    let
      f = if lib.isFunction file then file else import file;
      wanted = lib.functionArgs f;
      auto = builtins.intersectAttrs wanted available;
      missing = builtins.filter (n: !wanted.${n} && !(auto ? ${n}) && !(given ? ${n})) (builtins.attrNames wanted);
    in
    if missing != [ ] then
      throw "callPackage: function called without required argument \"${builtins.head missing}\"${
        lib.optionalString (!(lib.isFunction file)) " at ${toString file}"
      }"
    else
      lib.makeOverridable f (auto // given);
  fakeHash = "sha256-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
  fakeSha256 = "0000000000000000000000000000000000000000000000000000000000000000";
  licenses = lib.genAttrs [
    "agpl3Only"
    "asl20"
    "bsd2"
    "bsd3"
    "free"
    "gpl2Only"
    "gpl3Only"
    "gpl3Plus"
    "isc"
    "lgpl3Only"
    "mit"
    "mpl20"
    "unfree"
    "unlicense"
  ] (spdxId: { inherit spdxId; shortName = spdxId; free = spdxId != "unfree"; });
  maintainers = { };
  platforms = rec {
    linux = [
      "x86_64-linux"
      "aarch64-linux"
    ];
    darwin = [
      "x86_64-darwin"
      "aarch64-darwin"
    ];
    unix = linux ++ darwin;
    all = unix;
  };
  systems = {
    elaborate = system: {
      inherit system;
      config = system;
      isLinux = lib.hasSuffix "-linux" system;
      isDarwin = lib.hasSuffix "-darwin" system;
      isx86_64 = lib.hasPrefix "x86_64" system;
      isAarch64 = lib.hasPrefix "aarch64" system;
      isAarch = lib.hasPrefix "aarch64" system;
      isx86 = lib.hasPrefix "x86_64" system;
      isUnix = true;
      parsed.cpu.name = builtins.head (lib.splitString "-" system);
      extensions.sharedLibrary = if lib.hasSuffix "-darwin" system then ".dylib" else ".so";
    };
    flakeExposed = lib.platforms.all;
  };
  cleanSource = src: src;
  cleanSourceWith = { src, ... }: src;
  sourceByRegex = src: _: src;
  availableOn = _: _: true;
  filesystem = {
    listFilesRecursive =
      dir:
      lib.concatLists (
        lib.mapAttrsToList (
          name: type: if type == "directory" then lib.filesystem.listFilesRecursive (dir + "/${name}") else [ (dir + "/${name}") ]
        ) (builtins.readDir dir)
      );
  };
}
