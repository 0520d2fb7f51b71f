{
  settings,
  network,
  identity,
  secret,
  moons,
  ...
}:
{ lib, pkgs, ... }:
let
  home = "/var/lib/zerotier-one";
in
{
  services.zerotierone = {
    enable = true;
    port = settings.port;
    joinNetworks = lib.optional (network != null) network;
    localConf.settings = {
      interfacePrefixBlacklist = settings.interfaces_prefix;
      softwareUpdate = "disable";
    };
  };

  # The identity that the fleet generated; without it ZeroTier makes one of its own.
  systemd.services.zerotierone.preStart = lib.mkIf (identity != null) ''
    mkdir -p ${home}
    if [ -s ${secret} ]; then
      install -m 0600 ${secret} ${home}/identity.secret
      printf %s ${lib.escapeShellArg identity} > ${home}/identity.public
    fi
  '';

  systemd.services.zerotier-moons = lib.mkIf (moons != [ ]) {
    description = "Ask the moons of the fleet for the way";
    wantedBy = [ "multi-user.target" ];
    after = [ "zerotierone.service" ];
    requires = [ "zerotierone.service" ];
    serviceConfig = {
      Restart = "on-failure";
      RestartSec = 5;
    };
    script = lib.concatMapStrings (moon: "${pkgs.zerotierone}/bin/zerotier-cli orbit ${moon} ${moon}\n") moons;
  };

  networking.firewall.allowedUDPPorts = [ settings.port ];
  networking.networkmanager.unmanaged = [ "interface-name:zt*" ];
}
