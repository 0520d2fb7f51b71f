# NVIDIA's driver, for computing only.
{ ... }:
{
  nixpkgs.config.allowUnfree = true;

  hardware.graphics.enable = true;
  hardware.nvidia = {
    open = true;
    nvidiaPersistenced = true;
    modesetting.enable = true;
  };
  services.xserver.videoDrivers = [ "nvidia" ];

  environment.etc."clanpy/gpu".text = "nvidia\n";
}
