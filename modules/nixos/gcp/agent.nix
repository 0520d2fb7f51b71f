# What Google's console expects of a machine: that it says when it is up.
{ ... }:
{
  systemd.services.clanpy-gcp-ready = {
    description = "Say on the serial console that the machine is up";
    wantedBy = [ "multi-user.target" ];
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
      StandardOutput = "journal+console";
      ExecStart = "/run/current-system/sw/bin/echo ready";
    };
  };
}
