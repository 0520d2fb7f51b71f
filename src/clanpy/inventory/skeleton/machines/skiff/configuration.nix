# What only this machine has.
{ ... }:
{
  networking.computerName = "skiff";
}
