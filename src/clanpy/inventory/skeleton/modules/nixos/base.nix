# `base` again: what only NixOS has. An aspect may be written in several files; all of them count.
{ ... }:
{
  system.stateVersion = "25.05";
}
