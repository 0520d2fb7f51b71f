# The controller of the network: the one server that everything else depends on.
{ ... }:
{
  # Back in the next quarter of an hour when something forces a reboot, and never by itself.
  system.autoUpgrade.enable = false;

  environment.etc."clanpy/role".text = "controller of the network\n";
}
