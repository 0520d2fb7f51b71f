# Raquel's laptop.
{ ... }:
{
  networking.computerName = "blackphos";

  homebrew.casks = [ "zotero" ];
}
