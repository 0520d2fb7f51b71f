# A virtual machine of Google Compute Engine.
{ ... }:
{
  boot.initrd.availableKernelModules = [
    "nvme"
    "virtio_pci"
    "virtio_scsi"
  ];

  fileSystems."/" = {
    device = "/dev/disk/by-label/nixos";
    fsType = "ext4";
    autoResize = true;
  };
  fileSystems."/boot" = {
    device = "/dev/disk/by-label/ESP";
    fsType = "vfat";
  };
}
