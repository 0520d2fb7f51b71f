# Janette's laptop.
{ ... }:
{
  networking.computerName = "rosegold";

  homebrew.casks = [ "libreoffice" ];
}
