{ instance, settings, domain, machines, ... }:
{ ... }:
{
  environment.etc."clanpy/zerotier/${instance}.json".text = builtins.toJSON {
    inherit domain machines;
    private = !settings.public;
    allowed_ids = settings.allowed_ids;
    mtu = settings.mtu;
  };
}
