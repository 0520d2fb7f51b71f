# The part of the base that only macOS has.
{ lib, config, ... }:
{
  system.stateVersion = lib.mkDefault 6;

  # What deploys over SSH has nobody to type a password.
  security.sudo.extraConfig = ''
    %admin ALL=(ALL) NOPASSWD: ALL
  '';
  security.pam.services.sudo_local.touchIdAuth = true;

  nix.gc = {
    automatic = true;
    interval = {
      Weekday = 0;
      Hour = 3;
      Minute = 0;
    };
    options = "--delete-older-than 30d";
  };
}
