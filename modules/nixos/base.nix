# The part of the base that only NixOS has.
{ lib, ... }:
{
  system.stateVersion = lib.mkDefault "25.05";

  users.mutableUsers = false;
  security.sudo.wheelNeedsPassword = false;

  # A journal that fills a disk is found out by everything else on that disk.
  services.journald.extraConfig = ''
    SystemMaxUse=500M
  '';

  nix.gc = {
    automatic = true;
    dates = "weekly";
    options = "--delete-older-than 30d";
  };
}
