# A GPU: what is computed here may take all of the memory, and must not take the way in with it.
{ ... }:
{
  systemd.services.sshd.serviceConfig.OOMScoreAdjust = -1000;

  environment.etc."clanpy/role".text = "computing\n";
}
