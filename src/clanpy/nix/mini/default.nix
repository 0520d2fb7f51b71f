# What `import nixpkgs { ... }` gives, for those who do not take it from the flake.
{
  system,
  config ? { },
  overlays ? [ ],
}:
let
  lib = import ./lib;
in
(import ./packages.nix { inherit lib system; }).appendOverlays overlays
