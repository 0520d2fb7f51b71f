{ settings, names, ... }:
{ lib, pkgs, ... }:
let
  template = "clanpy/dyndns.json";
in
{
  # All but the secrets, which take their places when the updater starts.
  environment.etc.${template}.text = builtins.toJSON { settings = map (name: name.entry) names; };

  services.ddns-updater = {
    enable = true;
    environment = {
      SERVER_ENABLED = if settings.server.enable then "yes" else "no";
      LISTENING_ADDRESS = "127.0.0.1:${toString settings.server.port}";
      PERIOD = "${toString settings.period}m";
      CONFIG_FILEPATH = "/run/ddns-updater/config.json";
    };
  };

  systemd.services.ddns-updater = {
    path = [ pkgs.jq ];
    restartTriggers = [ (builtins.toJSON names) ];
    serviceConfig = {
      RuntimeDirectory = "ddns-updater";
      RuntimeDirectoryMode = "0700";
      LoadCredential = map (name: "${name.credential}:${name.file}") names;
    };
    preStart = ''
      umask 077
      jq '${
        lib.concatStringsSep " | " (
          [ "." ]
          ++ lib.imap0 (
            n: name: ".settings[${toString n}][\"${name.field}\"] = ($token${toString n} | rtrimstr(\"\\n\"))"
          ) names
        )
      }' ${
        lib.concatStringsSep " " (
          lib.imap0 (n: name: "--rawfile token${toString n} \"$CREDENTIALS_DIRECTORY/${name.credential}\"") names
        )
      } /etc/${template} > /run/ddns-updater/config.json
    '';
  };
}
