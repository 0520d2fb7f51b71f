{
  config,
  lib,
  pkgs,
  extendSystem,
  ...
}:
let
  inherit (lib) mkOption types;
  inherit (config.system) build;
  label = lib.version;
  substitute = builtins.replaceStrings [ "@out@" "@functions@" "@snippets@" ] [ (placeholder "out") build.functions build.snippets ];
  script = file: substitute (builtins.readFile file);
  oneshots = lib.imap0 (i: name: {
    inherit name;
    var = "oneshot${toString i}";
    value = build.oneshots.${name};
  }) (builtins.attrNames build.oneshots);
  files = {
    activate = script ../shell/activate-nixos.sh;
    init = script ../shell/init.sh;
    switch = script ../shell/switch-to-configuration.sh;
    inherit (build) accounts settings units;
  }
  // builtins.listToAttrs (map (o: lib.nameValuePair o.var o.value) oneshots);
  specialisations = lib.mapAttrs (_: s: extendSystem s.configuration) config.specialisation;
in
{
  options = {
    specialisation = mkOption {
      type = types.attrsOf (
        types.freeformSubmodule {
          options.configuration = mkOption {
            type = types.deferredModule;
            default = { };
          };
        }
      );
      default = { };
    };
    boot.kernelPackages = mkOption {
      type = types.raw;
      default = pkgs.linuxPackages;
    };
    system.nixos = {
      label = mkOption {
        type = types.str;
        default = label;
      };
      version = mkOption {
        type = types.str;
        default = label;
      };
    };
  };

  config.system.build.toplevel =
    pkgs.runCommand "nixos-system-${config.networking.hostName}-${config.system.nixos.label}"
      (
        files
        // {
          passAsFile = builtins.attrNames files;
          inherit (build) etc path;
          inherit (config.boot.kernelPackages) kernel;
          passthru = { inherit config; };
        }
      )
      ''
        mkdir -p "$out/bin" "$out/specialisation" "$out/oneshots"
        cp "$activatePath" "$out/activate"
        cp "$initPath" "$out/init"
        cp "$switchPath" "$out/bin/switch-to-configuration"
        cp "$accountsPath" "$out/accounts"
        cp "$settingsPath" "$out/settings.json"
        cp "$unitsPath" "$out/units"
        ${lib.concatMapStrings (o: ''
          cp "${"$"}${o.var}Path" "$out"/oneshots/${lib.escapeShellArg o.name}
        '') oneshots}
        for script in "$out/activate" "$out/init" "$out/bin/switch-to-configuration" "$out"/oneshots/*; do
          [ ! -e "$script" ] || chmod +x "$script"
        done
        ln -s "$etc/etc" "$out/etc"
        ln -s "$etc/etc-list" "$out/etc-list"
        ln -s "$path" "$out/sw"
        ln -s "$kernel/kernel" "$out/kernel"
        ln -s "$kernel" "$out/kernel-modules"
        ln -s "$kernel/kernel" "$out/initrd"
        printf %s ${lib.escapeShellArg config.system.nixos.label} > "$out/nixos-version"
        printf %s ${pkgs.system} > "$out/system"
        printf %s "mini 1" > "$out/init-interface-version"
        ${lib.concatStrings (
          lib.mapAttrsToList (name: drv: ''
            ln -s ${drv} "$out"/specialisation/${lib.escapeShellArg name}
          '') specialisations
        )}
      '';
}
