{
  settings,
  network,
  identity,
  secret,
  moons,
  ...
}:
{ lib, ... }:
let
  home = "/Library/Application Support/ZeroTier/One";
in
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

  environment.etc."clanpy/zerotier/networks".text = lib.optionalString (network != null) "${network}\n";

  # What is to be joined is a file with the network's number for a name; the program reads it when it starts.
  system.activationScripts.postActivation.text = ''
    mkdir -p ${lib.escapeShellArg "${home}/networks.d"}
    cp /etc/clanpy/zerotier/local.conf ${lib.escapeShellArg "${home}/local.conf"}
  ''
  + lib.optionalString (network != null) ''
    touch ${lib.escapeShellArg "${home}/networks.d/${network}.conf"}
  ''
  + lib.optionalString (identity != null) ''
    if [ -s ${secret} ]; then
      install -m 0600 ${secret} ${lib.escapeShellArg "${home}/identity.secret"}
      printf %s ${lib.escapeShellArg identity} > ${lib.escapeShellArg "${home}/identity.public"}
    fi
  ''
  + lib.concatMapStrings (moon: ''
    ! command -v zerotier-cli > /dev/null || zerotier-cli orbit ${moon} ${moon} || true
  '') moons;
}
