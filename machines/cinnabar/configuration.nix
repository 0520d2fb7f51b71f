# The controller of the network: the one server that everything else depends on.
{ ... }:
{
  # Changes only when somebody deploys it.
  system.autoUpgrade.enable = false;

  environment.etc."clanpy/role".text = "controller of the network\n";
}
