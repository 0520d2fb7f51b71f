{ instance, settings, ... }:
{ lib, pkgs, ... }:
let
  find =
    name:
    lib.attrByPath (lib.splitString "." name) (throw "packages: instance '${instance}' names '${name}', which nixpkgs does not have") pkgs;
in
{
  environment.systemPackages = map find settings.packages;
}
