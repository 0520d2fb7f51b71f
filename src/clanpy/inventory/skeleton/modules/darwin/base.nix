# `base` again: what only macOS has.
{ ... }:
{
  system.stateVersion = 6;
}
