# What every machine has, whatever its class.
{ lib, pkgs, ... }:
{
  nix.settings = {
    experimental-features = [
      "nix-command"
      "flakes"
    ];
    auto-optimise-store = lib.mkDefault false;
    warn-dirty = false;
  };

  environment.systemPackages = [
    pkgs.curl
    pkgs.git
    pkgs.jq
    pkgs.ripgrep
  ];

  environment.etc."clanpy/fleet".text = "vanixiets\n";
}
