# A virtual machine at Google: UEFI, and a clock and a name that come from the metadata server.
{ lib, ... }:
{
  boot.loader = {
    systemd-boot.enable = true;
    efi.canTouchEfiVariables = lib.mkDefault false;
  };

  networking.timeServers = [ "metadata.google.internal" ];
  networking.usePredictableInterfaceNames = false;
}
