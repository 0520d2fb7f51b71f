# Machines from which the fleet is deployed: the tools for it, and room for what is built on the way.
{ pkgs, ... }:
{
  environment.systemPackages = [
    pkgs.age
    pkgs.nix-output-monitor
    pkgs.sops
  ];

  nix.settings.keep-outputs = true;
}
