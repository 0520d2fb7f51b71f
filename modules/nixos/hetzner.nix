# A server at Hetzner: a virtual machine that boots by BIOS, with its address from DHCP and its IPv6 network routed.
{ lib, ... }:
{
  boot.loader.grub = {
    enable = true;
    device = lib.mkDefault "/dev/sda";
  };

  networking.useDHCP = false;
  systemd.network = {
    enable = true;
    networks."10-uplink" = {
      matchConfig.Name = "en* eth*";
      networkConfig.DHCP = "ipv4";
      networkConfig.IPv6AcceptRA = true;
    };
  };

  services.qemuGuest.enable = true;
}
