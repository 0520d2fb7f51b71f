{
  settings,
  machine,
  pushTo,
  user,
  passwordFile,
  ...
}:
{ lib, ... }:
let
  credential = "/run/credentials/alloy.service/loki";
  endpoint = url: ''
    endpoint {
      url = "${url}"
      basic_auth {
        username      = "${user}"
        password_file = "${credential}"
      }
    }
  '';
in
{
  services.prometheus.exporters.node = {
    enable = true;
    port = settings.port;
    enabledCollectors = settings.collectors;
    openFirewall = settings.open_firewall;
  };

  services.alloy.enable = lib.mkIf (pushTo != [ ]) true;

  environment.etc = lib.mkIf (pushTo != [ ]) {
    "alloy/config.alloy".text = ''
      loki.source.journal "all" {
        forward_to = [loki.write.servers.receiver]
        labels     = { machine = "${machine.name}" }
      }

      loki.write "servers" {
      ${lib.concatMapStrings endpoint pushTo}}
    '';
  };

  systemd.services.alloy = lib.mkIf (pushTo != [ ]) {
    serviceConfig.LoadCredential = "loki:${passwordFile}";
  };
}
