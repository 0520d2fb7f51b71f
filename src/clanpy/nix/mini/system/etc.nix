{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;

  # Files on which the host itself stands: what is declared for them goes beside them, under /etc/mini.
  kept = [
    "fstab"
    "group"
    "gshadow"
    "hosts"
    "ld.so.cache"
    "ld.so.conf"
    "nix/nix.conf"
    "nsswitch.conf"
    "passwd"
    "resolv.conf"
    "shadow"
    "ssh/sshd_config"
    "sudoers"
  ];
  keptFolders = [
    "apt/"
    "pam.d/"
    "security/"
    "ssl/"
  ];
  isKept = target: builtins.elem target kept || builtins.any (f: lib.hasPrefix f target) keptFolders;
  place = target: if isKept target then "mini/${target}" else target;

  # A text is a file of the store of its own, as in nixpkgs: machines that have the same text share it.
  entry =
    { name, config, ... }:
    {
      options = {
        enable = mkOption {
          type = types.bool;
          default = true;
        };
        target = mkOption {
          type = types.str;
          default = name;
          apply = place;
        };
        text = mkOption {
          type = types.nullOr types.lines;
          default = null;
        };
        source = mkOption {
          type = types.nullOr (types.either types.path types.str);
          default = null;
        };
        mode = mkOption {
          type = types.str;
          default = "symlink";
        };
        user = mkOption {
          type = types.str;
          default = "root";
        };
        group = mkOption {
          type = types.str;
          default = "root";
        };
      };
      config.source = lib.mkIf (config.text != null) (
        lib.mkDefault "${pkgs.writeText "etc-${builtins.baseNameOf name}" config.text}"
      );
    };

  files = builtins.sort (a: b: a.target < b.target) (
    builtins.filter (f: f.enable) (builtins.attrValues config.environment.etc)
  );
  quote = lib.escapeShellArg;
  put =
    f:
    if f.source == null then
      throw "environment.etc.\"${f.target}\" has neither text nor source"
    else
      "d ${quote f.target}\n${
        if f.mode == "symlink" then "ln -s" else "cp -L"
      } ${quote "${f.source}"} \"$out\"/etc/${quote f.target}\n"
      + lib.optionalString (f.mode != "symlink") "echo ${f.mode} > \"$out\"/etc/${quote "${f.target}.mode"}\n";
in
{
  options.environment.etc = mkOption {
    type = types.attrsOf (types.submodule entry);
    default = { };
  };

  config.system.build.etc =
    pkgs.runCommand "etc"
      {
        passAsFile = [ "list" ];
        list = lib.concatMapStrings (f: "${f.mode}\t${f.user}:${f.group}\t${f.target}\n") files;
      }
      ''
        d() { case $1 in */*) mkdir -p "$out/etc/''${1%/*}" ;; esac; }
        mkdir -p "$out/etc"
        cp "$listPath" "$out/etc-list"
        ${lib.concatMapStrings put files}
      '';
}
