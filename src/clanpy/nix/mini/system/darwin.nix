{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  inherit (config.system) build;
  label = lib.version;
  substitute = builtins.replaceStrings [ "@out@" "@functions@" "@snippets@" ] [ (placeholder "out") build.functions build.snippets ];
  job =
    { name, config, ... }:
    {
      options = {
        command = mkOption {
          type = types.str;
          default = "";
        };
        script = mkOption {
          type = types.lines;
          default = "";
        };
        serviceConfig = mkOption {
          type = types.attrsOf types.anything;
          default = { };
        };
      };
      config.serviceConfig = {
        Label = lib.mkDefault "org.nixos.${name}";
        ProgramArguments = lib.mkMerge [
          (lib.mkIf (config.command != "") [ "/bin/sh" "-c" "exec ${config.command}" ])
          (lib.mkIf (config.script != "") [ "${pkgs.writeShellScript "${name}-start" config.script}" ])
        ];
      };
    };
  jobs = mkOption {
    type = types.attrsOf (types.freeformSubmodule job);
    default = { };
  };
  plists =
    folder:
    lib.mapAttrsToList (_: j: {
      path = "${folder}/${j.serviceConfig.Label}.plist";
      text = lib.generators.toPlist { } (lib.filterAttrs (_: v: v != [ ]) j.serviceConfig);
    });
  allPlists =
    plists "Library/LaunchDaemons" config.launchd.daemons
    ++ plists "Library/LaunchAgents" config.launchd.agents
    ++ plists "user/Library/LaunchAgents" config.launchd.user.agents;
  named = lib.imap0 (i: p: p // { var = "plist${toString i}"; }) allPlists;
  brews = config.homebrew;
  brewfile = lib.concatStrings (
    lib.concatLists (
      lib.mapAttrsToList (kind: map (x: "${kind} ${builtins.toJSON (if builtins.isAttrs x then x.name else x)}\n")) {
        tap = brews.taps or [ ];
        brew = brews.brews or [ ];
        cask = brews.casks or [ ];
      }
    )
  );
  files = {
    activate = substitute (builtins.readFile ../shell/activate-darwin.sh);
    rebuild = builtins.readFile ../shell/darwin-rebuild.sh;
    inherit (build) accounts settings;
    defaults = builtins.toJSON (lib.plainData config.system.defaults);
    inherit brewfile;
  }
  // builtins.listToAttrs (map (p: lib.nameValuePair p.var p.text) named);
in
{
  options = {
    launchd = {
      daemons = jobs;
      agents = jobs;
      user.agents = jobs;
    };
    homebrew = mkOption {
      type = types.anything;
      default = { };
    };
    system = {
      primaryUser = mkOption {
        type = types.nullOr types.str;
        default = null;
      };
      defaults = mkOption {
        type = types.anything;
        default = { };
      };
      darwinLabel = mkOption {
        type = types.str;
        default = label;
      };
    };
  };

  config.system.activationScripts = {
    launchd = {
      deps = [ "etc" ];
      text = ''
        mkdir -p /Library/LaunchDaemons /Library/LaunchAgents "$state"
        : > "$state/launchd.new"
        for folder in LaunchDaemons LaunchAgents; do
          for plist in "$systemConfig/Library/$folder"/*.plist; do
            [ -e "$plist" ] || continue
            place=/Library/$folder/''${plist##*/}
            echo "$place" >> "$state/launchd.new"
            cmp -s "$plist" "$place" || cp "$plist" "$place"
          done
        done
        if [ -e "$state/launchd" ]; then
          while IFS= read -r place; do
            grep -qxF -- "$place" "$state/launchd.new" || rm -f "$place"
          done < "$state/launchd"
        fi
        mv -f "$state/launchd.new" "$state/launchd"
      '';
    };
    # launchd starts an sshd for each connection, which reads its configuration anew; the host's own has to be told
    sshd = {
      deps = [ "etc" ];
      text = ''
        mkdir -p "$state"
        [ -e "$state/sshd" ] || : | cksum > "$state/sshd"
        now=$(cat /etc/ssh/sshd_config.d/* 2>/dev/null | cksum)
        if [ "$now" != "$(cat "$state/sshd")" ] && [ -e /run/sshd.pid ]; then
          /usr/sbin/sshd -t
          kill -HUP "$(cat /run/sshd.pid)"
          echo "$now" > "$state/sshd"
        fi
      '';
    };
    postActivation.deps = [
      "launchd"
      "sshd"
      "etc"
      "users"
    ];
  };

  config.system.build.toplevel =
    pkgs.runCommand "darwin-system-${config.system.darwinLabel}"
      (
        files
        // {
          passAsFile = builtins.attrNames files;
          inherit (build) etc path;
          passthru = { inherit config; };
        }
      )
      ''
        mkdir -p "$out/sw/bin" "$out/user/Library/LaunchAgents" "$out/Library/LaunchDaemons" "$out/Library/LaunchAgents"
        cp "$activatePath" "$out/activate"
        cp "$rebuildPath" "$out/sw/bin/darwin-rebuild"
        chmod +x "$out/activate" "$out/sw/bin/darwin-rebuild"
        cp "$accountsPath" "$out/accounts"
        cp "$settingsPath" "$out/settings.json"
        cp "$defaultsPath" "$out/defaults.json"
        cp "$brewfilePath" "$out/Brewfile"
        ${lib.concatMapStrings (p: ''
          cp "${"$"}${p.var}Path" "$out"/${lib.escapeShellArg p.path}
        '') named}
        for entry in "$path"/*; do
          [ "$entry" = "$path/bin" ] || [ ! -e "$entry" ] || ln -s "$entry" "$out/sw/"
        done
        for program in "$path"/bin/*; do
          [ ! -e "$program" ] || ln -s "$program" "$out/sw/bin/"
        done
        ln -s "$etc/etc" "$out/etc"
        ln -s "$etc/etc-list" "$out/etc-list"
        printf %s ${lib.escapeShellArg config.system.darwinLabel} > "$out/darwin-version"
        printf '{"darwinLabel":"%s"}' ${lib.escapeShellArg config.system.darwinLabel} > "$out/darwin-version.json"
        printf %s ${pkgs.system} > "$out/system"
        printf %s "$out" > "$out/systemConfig"
      '';
}
