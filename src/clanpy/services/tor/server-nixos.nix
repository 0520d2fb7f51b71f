{
  instance,
  mapping,
  key,
  ...
}:
{ lib, ... }:
{
  services.tor = {
    enable = true;
    relay.onionServices.${instance} = {
      version = 3;
      secretKey = lib.mkIf (key != null) key;
      map = map (entry: {
        port = entry.port;
        target = {
          addr = "127.0.0.1";
          port = entry.target;
        };
      }) mapping;
    };
  };
}
