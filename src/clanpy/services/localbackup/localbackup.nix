{
  instance,
  settings,
  configs,
  ...
}:
{
  config,
  lib,
  pkgs,
  ...
}:
let
  each = make: lib.mapAttrs' (name: target: lib.nameValuePair "${instance}-${name}" (make name target)) settings.targets;
  file = name: "clanpy/localbackup/${instance}-${name}.conf";
  # the programs that rsnapshot calls are named by their paths
  programs = ''
    cmd_cp	${pkgs.coreutils}/bin/cp
    cmd_rm	${pkgs.coreutils}/bin/rm
    cmd_rsync	${pkgs.rsync}/bin/rsync
    lockfile	/run/localbackup.pid
  '';
  program = "${pkgs.rsnapshot}/bin/rsnapshot";
in
{
  environment.etc = lib.mapAttrs' (
    name: _: lib.nameValuePair (file name) { text = configs.${name} + programs; }
  ) settings.targets;

  systemd.services = each (
    name: target: {
      description = "Snapshot to ${target.directory}";
      path = [ pkgs.util-linux ];
      serviceConfig.Type = "oneshot";
      script = ''
        ${target.pre_hook}
        ${lib.optionalString (target.mountpoint != null) ''
          if ! mountpoint -q ${lib.escapeShellArg target.mountpoint}; then
            mount ${lib.escapeShellArg target.mountpoint}
            trap 'umount ${lib.escapeShellArg target.mountpoint}' EXIT
          fi
        ''}
        mkdir -p ${lib.escapeShellArg target.directory}
        ${program} -c /etc/${file name} sync
        ${program} -c /etc/${file name} snapshot
        ${target.post_hook}
      '';
    }
  );

  systemd.timers = each (
    _: target: {
      description = "Snapshot to ${target.directory}";
      wantedBy = [ "timers.target" ];
      timerConfig = {
        OnCalendar = settings.start_at;
        Persistent = true;
      };
    }
  );

  environment.systemPackages = [ pkgs.rsnapshot ];
}
