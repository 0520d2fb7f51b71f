# What only this machine has. Replace the disk by what `nixos-generate-config` finds on the machine.
{ ... }:
{
  boot.loader.grub.device = "/dev/sda";
  fileSystems."/" = {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
  };
}
