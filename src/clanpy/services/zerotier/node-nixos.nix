{ settings, ... }:
{ lib, ... }:
{
  services.zerotierone = {
    enable = true;
    port = settings.port;
    joinNetworks = lib.optional (settings.network_id != null) settings.network_id;
    localConf.settings = {
      interfacePrefixBlacklist = settings.interfaces_prefix;
      softwareUpdate = "disable";
    };
  };

  networking.firewall.allowedUDPPorts = [ settings.port ];
  networking.networkmanager.unmanaged = [ "interface-name:zt*" ];
}
