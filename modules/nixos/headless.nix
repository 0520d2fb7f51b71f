# A server without a screen: no documentation, no sound, a console on the serial line.
{ lib, ... }:
{
  documentation.enable = lib.mkDefault false;
  documentation.nixos.enable = lib.mkDefault false;
  fonts.fontconfig.enable = lib.mkDefault false;

  boot.kernelParams = [ "console=ttyS0,115200" ];
  boot.loader.timeout = lib.mkDefault 3;

  # The way in must not wait for a network that does not come up.
  systemd.services.systemd-networkd-wait-online.enable = lib.mkForce false;

  networking.firewall.enable = true;
}
