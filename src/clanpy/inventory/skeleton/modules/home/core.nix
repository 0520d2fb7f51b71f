# `core`, a part of people's homes.
{ pkgs, ... }:
{
  home.stateVersion = "25.05";
  home.packages = [ pkgs.ripgrep ];
  home.file.".hushlogin".text = "";
}
