# The tools of whoever looks after the fleet.
{ pkgs, ... }:
{
  home.packages = [
    pkgs.age
    pkgs.sops
  ];

  programs.ssh = {
    enable = true;
    matchBlocks."*.zt" = {
      forwardAgent = false;
      serverAliveInterval = 15;
    };
  };
}
