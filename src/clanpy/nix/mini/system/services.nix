# Services and programs of which something can be seen on a host; all others are taken as they are.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types mkIf;
  list = mkOption {
    type = types.listOf types.str;
    default = [ ];
  };
  lines = mkOption {
    type = types.lines;
    default = "";
  };
  ssh = config.services.openssh;
  setting = v: if builtins.isBool v then (if v then "yes" else "no") else if builtins.isList v then lib.concatStringsSep " " v else toString v;
  knownHost = name: h: "${lib.optionalString (h.certAuthority or false) "@cert-authority "}${lib.concatStringsSep "," (h.hostNames or [ name ] ++ h.extraHostNames or [ ])} ${h.publicKey or (lib.fileContents h.publicKeyFile)}";
  sudoers =
    lib.optionalString (!pkgs.stdenv.hostPlatform.isDarwin) "%wheel ALL=(ALL:ALL) ${
      lib.optionalString (!config.security.sudo.wheelNeedsPassword) "NOPASSWD:"
    }SETENV: ALL\n"
    + config.security.sudo.extraConfig;
  isOn = name: p: builtins.isAttrs p && p.enable or false == true && builtins.isAttrs pkgs.${name} or null;
in
{
  options = {
    services.openssh = {
      enable = lib.mkEnableOption "the OpenSSH server";
      ports = mkOption {
        type = types.listOf types.port;
        default = [ 22 ];
      };
      settings = mkOption {
        type = types.attrsOf types.anything;
        default = { };
      };
      extraConfig = lines;
      authorizedKeysFiles = list;
      hostKeys = mkOption {
        type = types.listOf types.anything;
        default = [ ];
      };
    };
    programs.ssh = {
      knownHosts = mkOption {
        type = types.attrsOf types.anything;
        default = { };
      };
      extraConfig = lines;
    };
    security.sudo = {
      wheelNeedsPassword = mkOption {
        type = types.bool;
        default = true;
      };
      extraConfig = lines;
    };
    security.pki.certificates = list;
    nix.settings = mkOption {
      type = types.attrsOf types.anything;
      default = { };
    };
  };

  config = {
    environment.systemPackages = map (name: pkgs.${name}) (builtins.attrNames (lib.filterAttrs isOn config.programs));
    environment.etc = {
      hostname = mkIf (config.networking.hostName != "") { text = "${config.networking.hostName}\n"; };
      "ssh/sshd_config.d/10-mini.conf" = mkIf ssh.enable {
        text =
          lib.concatMapStrings (p: "Port ${toString p}\n") ssh.ports
          + lib.concatMapStrings (key: "HostKey ${key.path}\n") ssh.hostKeys
          + "AuthorizedKeysFile ${
            lib.concatStringsSep " " (
              [
                ".ssh/authorized_keys"
                "/etc/ssh/authorized_keys.d/%u"
                "/etc/ssh/nix_authorized_keys.d/%u"
              ]
              ++ ssh.authorizedKeysFiles
            )
          }\n"
          + lib.concatStrings (lib.mapAttrsToList (k: v: "${k} ${setting v}\n") (lib.filterAttrs (_: v: v != null) ssh.settings))
          + ssh.extraConfig;
      };
      "ssh/ssh_known_hosts" = mkIf (config.programs.ssh.knownHosts != { }) {
        text = lib.concatLines (lib.mapAttrsToList knownHost config.programs.ssh.knownHosts);
      };
      # beside those of the host itself
      "ssl/certs/ca-certificates.crt" = mkIf (config.security.pki.certificates != [ ]) {
        text = lib.concatLines config.security.pki.certificates;
      };
      "ssh/ssh_config.d/10-mini.conf" = mkIf (config.programs.ssh.extraConfig != "") { text = config.programs.ssh.extraConfig; };
      "sudoers.d/10-mini" = mkIf (sudoers != "") {
        mode = "0440";
        text = sudoers;
      };
      # beside the host's own nix.conf, which the daemon of the host depends on
      "nix/mini.conf" = mkIf (config.nix.settings != { }) {
        text = lib.generators.toKeyValue {
          mkKeyValue = k: v: "${k} = ${if builtins.isBool v then lib.boolToString v else if builtins.isList v then toString v else toString v}";
        } config.nix.settings;
      };
    };
  };
}
