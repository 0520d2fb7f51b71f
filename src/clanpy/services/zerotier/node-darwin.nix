{ settings, ... }:
{ lib, ... }:
{
  # ZeroTier for macOS is a signed system extension: it comes as a cask, not as a package of nixpkgs.
  homebrew.enable = lib.mkDefault true;
  homebrew.casks = [ "zerotier-one" ];

  environment.etc."clanpy/zerotier/local.conf".text = builtins.toJSON {
    settings = {
      primaryPort = settings.port;
      interfacePrefixBlacklist = settings.interfaces_prefix;
      softwareUpdate = "disable";
    };
  };

  environment.etc."clanpy/zerotier/networks".text =
    lib.optionalString (settings.network_id != null) "${settings.network_id}\n";
}
