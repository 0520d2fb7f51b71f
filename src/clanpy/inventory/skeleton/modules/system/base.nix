# `base`, for every machine: what is in modules/system goes to NixOS and to macOS.
{ pkgs, ... }:
{
  environment.systemPackages = [
    pkgs.curl
    pkgs.git
  ];
  nix.settings.experimental-features = [
    "nix-command"
    "flakes"
  ];
}
