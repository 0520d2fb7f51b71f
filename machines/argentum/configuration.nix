# Christopher's laptop.
{ ... }:
{
  networking.computerName = "argentum";

  homebrew.casks = [ "vlc" ];
}
