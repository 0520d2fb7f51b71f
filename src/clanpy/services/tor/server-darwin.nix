{
  instance,
  mapping,
  key,
  ...
}:
{ lib, pkgs, ... }:
let
  folder = "/var/lib/tor/onion/${instance}";
in
{
  # nix-darwin has no module for tor: a daemon of launchd reads what is put together here.
  environment.etc."tor/torrc".text = ''
    HiddenServiceDir ${folder}
    ${lib.concatMapStringsSep "\n" (
      entry: "HiddenServicePort ${toString entry.port} 127.0.0.1:${toString entry.target}"
    ) mapping}
  '';

  # The key that the fleet generated; without it tor makes one of its own.
  system.activationScripts.postActivation.text = lib.mkIf (key != null) ''
    mkdir -p ${folder}
    chmod 700 /var/lib/tor /var/lib/tor/onion ${folder}
    [ ! -s ${key} ] || install -m 0600 ${key} ${folder}/hs_ed25519_secret_key
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
