# The laptop from which the fleet is deployed.
{ pkgs, ... }:
{
  networking.computerName = "stibnite";

  environment.systemPackages = [ pkgs.gh ];
  homebrew.casks = [ "zed" ];
}
