{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  relative =
    path:
    let
      home = "${lib.removeSuffix "/" config.home.homeDirectory}/";
    in
    if lib.hasPrefix home path then
      lib.removePrefix home path
    else if lib.hasPrefix "/" path then
      throw "home.file: '${path}' is outside of the home '${home}'"
    else
      path;
  fileType =
    prefix:
    types.attrsOf (
      types.submodule (
        { name, ... }:
        {
          options = {
            enable = mkOption {
              type = types.bool;
              default = true;
            };
            target = mkOption {
              type = types.str;
              default = name;
              apply = target: relative (if prefix == null || lib.hasPrefix "/" target then target else "${prefix}/${target}");
            };
            text = mkOption {
              type = types.nullOr types.lines;
              default = null;
            };
            source = mkOption {
              type = types.nullOr (types.either types.path types.str);
              default = null;
            };
            executable = mkOption {
              type = types.nullOr types.bool;
              default = null;
            };
            recursive = mkOption {
              type = types.bool;
              default = false;
            };
            force = mkOption {
              type = types.bool;
              default = false;
            };
            onChange = mkOption {
              type = types.lines;
              default = "";
            };
          };
        }
      )
    );
  files = builtins.sort (a: b: a.target < b.target) (
    builtins.filter (f: f.enable) (
      lib.concatMap builtins.attrValues [
        config.home.file
        config.xdg.configFile
        config.xdg.dataFile
      ]
    )
  );
  quote = lib.escapeShellArg;
  numbered = lib.imap0 (i: file: {
    var = "f${toString i}";
    inherit file;
  }) files;
  texts = builtins.filter (x: x.file.source == null) numbered;
  textVars = builtins.listToAttrs (
    map (
      x:
      lib.nameValuePair x.var (if x.file.text != null then x.file.text else throw "home.file.\"${x.file.target}\" has neither text nor source")
    ) texts
  );
  put =
    x:
    let
      to = "\"$out/home-files\"/${quote x.file.target}";
      from = if x.file.source == null then "\"$" + x.var + "Path\"" else quote "${x.file.source}";
    in
    "d ${quote x.file.target}\n"
    + (
      if x.file.source != null && x.file.executable == null && !x.file.recursive then
        "ln -s ${from} ${to}\n"
      else if x.file.recursive then
        "cp -RLT ${from} ${to}; chmod -R u+w ${to}\n"
      else
        "cp -L ${from} ${to}\n"
    )
    + lib.optionalString (x.file.executable == true) "chmod +x ${to}\n";

  # The text of entry `name` comes after those that it names, and before those that name it.
  entries = config.home.activation;
  textOf = e: if builtins.isString e then e else e.data;
  afterOf = name: (entries.${name}.after or [ ]) ++ builtins.filter (other: builtins.elem name (entries.${other}.before or [ ])) (builtins.attrNames entries);
  visit = done: name: if builtins.elem name done || !(entries ? ${name}) then done else builtins.foldl' visit (done) (afterOf name) ++ [ name ];
  order = lib.unique (builtins.foldl' visit [ ] (builtins.attrNames entries));
  snippets = lib.concatMapStringsSep "\n" (name: ''
    echo "Activating ${name}"
    (
    set -e
    ${textOf entries.${name}}
    ) || exit 1
  '') order;

  activate =
    builtins.replaceStrings
      [ "@out@" "@user@" "@home@" "@storeDir@" "@snippets@" ]
      [
        (placeholder "out")
        (quote config.home.username)
        (quote config.home.homeDirectory)
        builtins.storeDir
        snippets
      ]
      (builtins.readFile ../shell/activate-home.sh);

  variables = config.home.sessionVariables;
  elsewhere = [
    "assertions"
    "home"
    "lib"
    "nixpkgs"
    "warnings"
    "xdg"
  ];
in
{
  options = {
    home = {
      username = mkOption { type = types.str; };
      homeDirectory = mkOption { type = types.str; };
      stateVersion = mkOption {
        type = types.str;
        default = lib.release;
      };
      packages = mkOption {
        type = types.listOf types.package;
        default = [ ];
      };
      file = mkOption {
        type = fileType null;
        default = { };
      };
      sessionVariables = mkOption {
        type = types.lazyAttrsOf types.anything;
        default = { };
      };
      sessionPath = mkOption {
        type = types.listOf types.str;
        default = [ ];
      };
      shellAliases = mkOption {
        type = types.attrsOf types.str;
        default = { };
      };
      activation = mkOption {
        type = types.attrsOf types.anything;
        default = { };
      };
      path = mkOption { type = types.package; };
      activationPackage = mkOption { type = types.package; };
    };
    xdg = {
      configHome = mkOption {
        type = types.str;
        default = "${config.home.homeDirectory}/.config";
      };
      configFile = mkOption {
        type = fileType ".config";
        default = { };
      };
      dataFile = mkOption {
        type = fileType ".local/share";
        default = { };
      };
    };
    assertions = mkOption {
      type = types.listOf types.unspecified;
      default = [ ];
    };
    warnings = mkOption {
      type = types.listOf types.str;
      default = [ ];
    };
    lib = mkOption {
      type = types.attrsOf types.raw;
      default = { };
    };
  };

  config = {
    lib.file.mkOutOfStoreSymlink = path: toString path;
    home.path = pkgs.buildEnv {
      name = "home-manager-path";
      paths = config.home.packages;
    };
    home.file.".config/environment.d/10-home-manager.conf" = lib.mkIf (variables != { } || config.home.sessionPath != [ ]) {
      text =
        lib.concatStrings (lib.mapAttrsToList (k: v: "${k}=${toString v}\n") variables)
        + lib.optionalString (config.home.sessionPath != [ ]) "PATH=\"${lib.concatStringsSep ":" config.home.sessionPath}:$PATH\"\n";
    };
    # The files are a store path of their own name, by which a link is known to be home-manager's.
    home.activationPackage =
      let
        homeFiles = pkgs.runCommand "home-manager-files" (textVars // { passAsFile = builtins.attrNames textVars ++ [ "list" ]; list = lib.concatMapStrings (f: "${f.target}\n") files; }) ''
          d() { case $1 in */*) mkdir -p "$out/home-files/''${1%/*}" ;; esac; }
          mkdir -p "$out/home-files"
          ${lib.concatMapStrings put numbered}
          # what has to be linked: single files, those of a folder that was copied too
          cd "$out/home-files"
          find . ! -type d | sed 's|^\./||' | LC_ALL=C sort > "$out/home-list"
        '';
      in
      pkgs.runCommand "home-manager-generation"
        {
          passAsFile = [
            "activate"
            "settings"
          ];
          inherit activate homeFiles;
          inherit (config.home) path;
          settings = builtins.toJSON (lib.plainData (builtins.removeAttrs config elsewhere));
          passthru = { inherit config; };
        }
        ''
          mkdir -p "$out"
          cp "$activatePath" "$out/activate"
          chmod +x "$out/activate"
          cp "$settingsPath" "$out/settings.json"
          ln -s "$homeFiles/home-files" "$out/home-files"
          ln -s "$homeFiles/home-list" "$out/home-list"
          ln -s "$path" "$out/home-path"
          printf 1 > "$out/gen-version"
          printf %s ${lib.release} > "$out/hm-version"
        '';
  };
}
