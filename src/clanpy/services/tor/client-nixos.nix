{ settings, ... }:
{ ... }:
{
  services.tor = {
    enable = true;
    client = {
      enable = true;
      socksListenAddress = {
        IsolateDestAddr = true;
        addr = "127.0.0.1";
        port = settings.socks_port;
      };
    };
    torsocks.enable = settings.transparent;
  };
}
