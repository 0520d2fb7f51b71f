# What everybody's home has.
{ lib, pkgs, ... }:
{
  home.stateVersion = lib.mkDefault "25.05";
  home.packages = [
    pkgs.fd
    pkgs.ripgrep
  ];
  home.sessionVariables.EDITOR = lib.mkDefault "vi";
  home.file.".hushlogin".text = "";
}
