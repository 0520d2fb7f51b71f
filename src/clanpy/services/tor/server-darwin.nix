{ instance, mapping, ... }:
{ lib, pkgs, ... }:
{
  # nix-darwin has no module for tor: a daemon of launchd reads what is put together here.
  environment.etc."tor/torrc".text = ''
    HiddenServiceDir /var/lib/tor/onion/${instance}
    ${lib.concatMapStringsSep "\n" (
      entry: "HiddenServicePort ${toString entry.port} 127.0.0.1:${toString entry.target}"
    ) mapping}
  '';

  launchd.daemons.tor = {
    command = "${pkgs.tor}/bin/tor -f /etc/tor/torrc --DataDirectory /var/lib/tor";
    serviceConfig = {
      KeepAlive = true;
      RunAtLoad = true;
      StandardErrorPath = "/var/log/tor.log";
    };
  };
}
