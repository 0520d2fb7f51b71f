# systemd units as files; where there is no systemd, one-shot services are run once by switch-to-configuration.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  list = mkOption {
    type = types.listOf types.str;
    default = [ ];
  };
  settings = mkOption {
    type = types.attrsOf types.anything;
    default = { };
  };
  text = mkOption {
    type = types.lines;
    default = "";
  };
  unit = {
    options = {
      enable = mkOption {
        type = types.bool;
        default = true;
      };
      description = mkOption {
        type = types.str;
        default = "";
      };
      unitConfig = settings;
      wantedBy = list;
      requiredBy = list;
      after = list;
      before = list;
      wants = list;
      requires = list;
    };
  };
  service =
    { name, config, ... }:
    {
      options = {
        serviceConfig = settings;
        environment = settings;
        path = mkOption {
          type = types.listOf (types.either types.package types.str);
          default = [ ];
        };
        script = text;
        preStart = text;
      };
      config.serviceConfig = lib.mkMerge [
        (lib.mkIf (config.script != "") { ExecStart = "${pkgs.writeShellScript "unit-script-${name}" "set -e\n${config.script}"}"; })
        (lib.mkIf (config.preStart != "") { ExecStartPre = "${pkgs.writeShellScript "unit-script-${name}-pre-start" "set -e\n${config.preStart}"}"; })
      ];
    };
  kinds = {
    services = {
      suffix = "service";
      section = "Service";
      modules = [ service ];
      config = u: u.serviceConfig // lib.optionalAttrs (u.environment != { } || u.path != [ ]) { Environment = environment u; };
    };
    timers = {
      suffix = "timer";
      section = "Timer";
      modules = [ { options.timerConfig = settings; } ];
      config = u: u.timerConfig;
    };
    sockets = {
      suffix = "socket";
      section = "Socket";
      modules = [ { options.socketConfig = settings; } ];
      config = u: u.socketConfig;
    };
    targets = {
      suffix = "target";
      section = null;
      modules = [ ];
      config = _: { };
    };
  };
  variables = u: lib.filterAttrs (_: v: v != null) u.environment // lib.optionalAttrs (u.path != [ ]) { PATH = "${lib.makeBinPath u.path}:/usr/bin:/bin"; };
  environment = u: lib.mapAttrsToList (k: v: builtins.toJSON "${k}=${toString v}") (variables u);
  words = lib.concatStringsSep " ";
  value =
    v:
    if builtins.isBool v then
      lib.boolToString v
    else
      toString v;
  section =
    name: entries:
    lib.optionalString (name != null && entries != { }) (
      "\n[${name}]\n"
      + lib.concatStrings (lib.concatLists (lib.mapAttrsToList (k: v: map (x: "${k}=${value x}\n") (lib.toList v)) entries))
    );
  unitSection =
    u:
    lib.filterAttrs (_: v: v != "" && v != [ ]) {
      Description = u.description;
      After = words u.after;
      Before = words u.before;
      Wants = words u.wants;
      Requires = words u.requires;
    }
    // u.unitConfig;
  render = kind: u: lib.removePrefix "\n" (section "Unit" (unitSection u) + section kind.section (kind.config u));

  unitsOf =
    which:
    let
      kind = kinds.${which};
    in
    lib.mapAttrs' (
      name: u:
      lib.nameValuePair "${name}.${kind.suffix}" {
        inherit u;
        text = render kind u;
      }
    ) (lib.filterAttrs (_: u: u.enable) config.systemd.${which});
  units = lib.concatMapAttrs (which: _: unitsOf which) kinds;

  wants =
    name: u:
    map (target: "${target}.wants/${name}") u.wantedBy ++ map (target: "${target}.requires/${name}") u.requiredBy;
  wanted = lib.filterAttrs (name: x: wants name x.u != [ ]) units;
  oneshots = lib.filterAttrs (_: x: x.u.serviceConfig.Type or null == "oneshot") wanted;
  commands = v: map (c: builtins.head (builtins.match "[-@:+!]*(.*)" (toString c))) (lib.toList v);
  oneshot =
    name: x:
    let
      user = x.u.serviceConfig.User or "root";
      body = lib.concatStringsSep " && " (commands (x.u.serviceConfig.ExecStartPre or [ ]) ++ commands (x.u.serviceConfig.ExecStart or [ ]));
      exports = lib.concatStrings (lib.mapAttrsToList (k: v: "export ${k}=${lib.escapeShellArg v}\n") (variables x.u));
    in
    "#!/bin/sh\n# ${name}, where there is no systemd\n"
    + (
      if user == "root" then
        "${exports}cd / && ${body}\n"
      else
        "exec su -s /bin/sh ${lib.escapeShellArg user} -c ${lib.escapeShellArg "${exports}cd && ${body}"}\n"
    );
in
{
  options.systemd =
    lib.mapAttrs (
      _: kind:
      mkOption {
        type = types.attrsOf (types.freeformSubmodule ([ unit ] ++ kind.modules));
        default = { };
      }
    ) kinds
    // {
      tmpfiles.rules = list;
    };

  config = {
    environment.etc = lib.mkMerge [
      (lib.mapAttrs' (name: x: lib.nameValuePair "systemd/system/${name}" { inherit (x) text; }) units)
      (builtins.listToAttrs (
        lib.concatLists (
          lib.mapAttrsToList (
            name: x: map (link: lib.nameValuePair "systemd/system/${link}" { source = "../${name}"; }) (wants name x.u)
          ) units
        )
      ))
      (lib.mkIf (config.systemd.tmpfiles.rules != [ ]) {
        "tmpfiles.d/00-nixos.conf".text = lib.concatLines config.systemd.tmpfiles.rules;
      })
    ];
    system.build.units = lib.concatLines (builtins.attrNames wanted);
    system.build.oneshots = lib.mapAttrs oneshot oneshots;
  };
}
