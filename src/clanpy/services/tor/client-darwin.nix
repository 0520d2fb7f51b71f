{ settings, ... }:
{ pkgs, ... }:
{
  environment.etc."tor/torrc".text = ''
    SocksPort 127.0.0.1:${toString settings.socks_port}
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
