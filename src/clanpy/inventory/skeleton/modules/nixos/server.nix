# `server`, for machines with that tag.
{ ... }:
{
  documentation.enable = false;
  environment.etc."motd".text = "This machine is looked after by clanpy.\n";
}
