# The part of nixpkgs' `lib` that small modules use, with the same names and meanings.
let
  parts = [
    ./trivial.nix
    ./lists.nix
    ./attrsets.nix
    ./strings.nix
    ./generators.nix
    ./properties.nix
    ./options.nix
    ./types.nix
    ./modules.nix
    ./packaging.nix
  ];
  lib = builtins.foldl' (done: part: done // import part { inherit lib; }) { } parts;
in
lib
// {
  # the sub-sets under which nixpkgs also offers them
  trivial = import ./trivial.nix { inherit lib; };
  lists = import ./lists.nix { inherit lib; };
  attrsets = import ./attrsets.nix { inherit lib; };
  strings = import ./strings.nix { inherit lib; };
  modules = import ./properties.nix { inherit lib; } // import ./modules.nix { inherit lib; };
  options = import ./options.nix { inherit lib; };
}
