# `legacyPackages.<system>`: builders on top of /bin/sh, and small stand-ins for well-known programs.
{ lib, system }:
let
  versions = import ./versions.nix;
  platform = lib.systems.elaborate system;
  # These are login shells somewhere: a stand-in has to run what it is asked to.
  shells = [
    "bash"
    "dash"
    "fish"
    "nushell"
    "zsh"
  ];
  otherNames = {
    delta = "delta";
    diffutils = "diff";
    dnsutils = "dig";
    findutils = "find";
    gnugrep = "grep";
    gnumake = "make";
    gnused = "sed";
    gnutar = "tar";
    gnupg = "gpg";
    helix = "hx";
    jujutsu = "jj";
    neovim = "nvim";
    nodejs = "node";
    nushell = "nu";
    openssh = "ssh";
    opentofu = "tofu";
    ripgrep = "rg";
    zerotierone = "zerotier-one";
  };

  # Attributes of `env` whose values are long are handed over as files: `<name>Path`.
  run =
    name: env: script:
    let
      drv = derivation (
        {
          inherit system;
          name = lib.sanitizeDerivationName name;
          builder = "/bin/sh";
          PATH = "/usr/bin:/bin";
          preferLocalBuild = true;
          allowSubstitutes = false;
          args = [
            "-euc"
            script
          ];
        }
        // builtins.removeAttrs env [
          "meta"
          "passthru"
          "nativeBuildInputs"
          "buildInputs"
        ]
      );
    in
    decorate drv ({ inherit name; meta = env.meta or { }; } // env.passthru or { });

  decorate =
    drv: extra:
    let
      self =
        drv
        // {
          meta = { };
          overrideAttrs = _: self;
          override = _: self;
        }
        // extra;
    in
    self;

  # Says its version; asked for anything else it steps aside for the program of that name that the host may have.
  # What an overlay changes of it is noted in the package, so that it can be seen.
  standIn =
    given:
    let
      attrs = {
        pname = null;
        version = "0";
        changes = { };
      }
      // given;
      inherit (attrs) pname version;
      program = otherNames.${pname} or pname;
      body =
        if builtins.elem pname shells then
          "[ ! -x /bin/${program} ] || exec /bin/${program} \"$@\"\nexec /bin/sh \"$@\""
        else
          "[ $# = 0 ] || [ \"$1\" = --version ] || [ ! -x /usr/bin/${program} ] || exec /usr/bin/${program} \"$@\"\necho '${program} ${version} (mini)'";
      known = [
        "changes"
        "meta"
        "passthru"
        "pname"
        "version"
      ];
      notes = attrs.changes // builtins.removeAttrs attrs known;
      drv =
        run "${pname}-${version}"
          (
            {
              passthru = {
                inherit pname version;
                shellPath = "/bin/${program}";
                meta = { mainProgram = program; } // attrs.meta or { };
              }
              // attrs.passthru or { };
            }
            // lib.optionalAttrs (notes != { }) { notes = builtins.toJSON (lib.plainData notes); }
          )
          ''
            mkdir -p "$out/bin" "$out/share/doc"
            printf '#!/bin/sh\n%s\n' ${lib.escapeShellArg body} > "$out/bin/${program}"
            chmod +x "$out/bin/${program}"
            echo '${pname} ${version}' "''${notes:-}" > "$out/share/doc/${pname}"
          '';
    in
    drv
    // {
      overrideAttrs = change: standIn (attrs // applyChange change attrs);
      override = change: standIn (attrs // { changes = attrs.changes // applyChange change { }; });
    };
  # `old: { }`, `final: prev: { }` or a plain set
  applyChange =
    change: old:
    let
      once = if lib.isFunction change then change old else change;
    in
    if lib.isFunction once then once old else once;

  # What every system is expected to have is the host's own.
  coreutils =
    run "coreutils-${versions.coreutils}"
      {
        passthru = {
          pname = "coreutils";
          version = versions.coreutils;
        };
      }
      ''
        mkdir -p "$out/bin"
        for program in basename cat chmod chown cp cut date dirname echo env false head id install ln ls mkdir mktemp mv \
          printf pwd readlink realpath rm rmdir seq sleep sort stat tail tee test touch tr true uname uniq wc whoami; do
          ln -s "/bin/$program" "$out/bin/$program"
        done
      '';

  base = self: lib.mapAttrs (pname: version: standIn { inherit pname version; }) versions // { inherit coreutils; } // builders self;

  builders = self: {
    inherit lib system;
    inherit (platform) isLinux isDarwin;
    pkgs = self;
    config.allowUnfree = true;
    path = ./.;
    runtimeShell = "/bin/sh";
    callPackage = lib.callPackageWith self;
    newScope = extra: lib.callPackageWith (self // extra);
    stdenv = {
      hostPlatform = platform;
      buildPlatform = platform;
      targetPlatform = platform;
      inherit system;
      inherit (platform) isLinux isDarwin isAarch64 isx86_64;
      shell = "/bin/sh";
      mkDerivation = self.mkDerivation';
    };
    stdenvNoCC = self.stdenv;
    # Only the steps that need no tools: `buildCommand`, or `installPhase` in a copy of the sources.
    mkDerivation' =
      argsOrFunction:
      let
        args = if lib.isFunction argsOrFunction then lib.fix argsOrFunction else argsOrFunction;
        pname = args.pname or (builtins.parseDrvName args.name).name;
        version = args.version or "0";
        hasSource = args ? src && !(args.dontUnpack or false) && lib.isStringLike args.src;
      in
      run (args.name or "${pname}-${version}")
        (
          lib.optionalAttrs hasSource { src = "${args.src}"; }
          // (args.env or { })
          // {
            meta = args.meta or { };
            passthru = (args.passthru or { }) // {
              inherit pname version;
              meta = { mainProgram = pname; } // args.meta or { };
            };
          }
        )
        (
          args.buildCommand or ''
            runHook() { :; }
            ${lib.optionalString hasSource ''
              if [ -d "$src" ]; then cp -R "$src/." .; else cp "$src" .; fi
              chmod -R u+w .
            ''}
            ${args.buildPhase or ""}
            ${
              args.installPhase or ''
                mkdir -p "$out/bin"
                printf '#!/bin/sh\necho "${pname} ${version} (mini)"\n' > "$out/bin/${pname}"
                chmod +x "$out/bin/${pname}"
              ''
            }
          ''
        );

    runCommand = run;
    runCommandLocal = run;
    runCommandNoCC = run;
    writeText = name: text: self.writeTextFile { inherit name text; };
    writeTextDir = path: text: self.writeTextFile {
      name = baseNameOf path;
      inherit text;
      destination = "/${path}";
    };
    writeTextFile =
      {
        name,
        text,
        executable ? false,
        destination ? "",
        meta ? { },
        ...
      }:
      run name
        {
          inherit text destination meta;
          passAsFile = [ "text" ];
          passthru.pname = name;
        }
        ''
          target="$out$destination"
          mkdir -p "$(dirname "$target")"
          cp "$textPath" "$target"
          ${lib.optionalString executable ''chmod +x "$target"''}
        '';
    writeScript = name: text: self.writeTextFile { inherit name text; executable = true; };
    writeScriptBin = name: text: self.writeTextFile {
      inherit name text;
      executable = true;
      destination = "/bin/${name}";
      meta.mainProgram = name;
    };
    writeShellScript = name: text: self.writeScript name "#!/bin/sh\n${text}";
    writeShellScriptBin = name: text: self.writeScriptBin name "#!/bin/sh\n${text}";
    writeShellApplication =
      {
        name,
        text,
        runtimeInputs ? [ ],
        runtimeEnv ? { },
        ...
      }:
      self.writeShellScriptBin name ''
        set -eu
        ${lib.concatStrings (lib.mapAttrsToList (k: v: "export ${lib.toShellVar k v}\n") runtimeEnv)}
        PATH=${lib.makeBinPath runtimeInputs}:$PATH
        ${text}
      '';
    writers = {
      writeBash = self.writeShellScript;
      writeBashBin = self.writeShellScriptBin;
      writeDash = self.writeShellScript;
      writeDashBin = self.writeShellScriptBin;
    };
    concatText = name: files: run name { files = map (f: "${f}") files; } ''cat $files > "$out"'';
    linkFarm =
      name: entries:
      let
        list = if builtins.isAttrs entries then lib.mapAttrsToList (name: path: { inherit name path; }) entries else entries;
      in
      run name { } (
        ''mkdir -p "$out"''
        + lib.concatMapStrings (e: ''

          mkdir -p "$out/$(dirname ${lib.escapeShellArg e.name})"
          ln -s ${lib.escapeShellArg "${e.path}"} "$out"/${lib.escapeShellArg e.name}'') list
      );
    symlinkJoin =
      {
        name,
        paths,
        postBuild ? "",
        ...
      }:
      self.buildEnv { inherit name paths postBuild; };
    # Files of the same name: the path that is named first wins.
    buildEnv =
      {
        name,
        paths,
        postBuild ? "",
        ...
      }:
      run name { paths = map (p: "${p}") (lib.unique paths); } ''
        mkdir -p "$out/bin"
        for path in $paths; do
          for program in "$path"/bin/*; do
            [ -e "$program" ] || continue
            name=''${program##*/}
            [ -e "$out/bin/$name" ] || ln -s "$program" "$out/bin/$name"
          done
          for folder in etc lib share; do
            [ -d "$path/$folder" ] || continue
            mkdir -p "$out/$folder"
            cp -RsnT "$path/$folder" "$out/$folder" 2>/dev/null || true
          done
        done
        ${postBuild}
      '';
    formats =
      let
        format = render: _: {
          type = lib.types.anything;
          generate = name: value: self.writeText name (render value);
        };
      in
      {
        json = format builtins.toJSON;
        yaml = format builtins.toJSON;
        toml = format lib.toTOML;
        ini = format (lib.generators.toINI { });
        keyValue = format (lib.generators.toKeyValue { });
      };
    linuxPackages = self.linuxKernel "6.12.34";
    linuxPackages_latest = self.linuxKernel "6.15.3";
    linuxKernel = version: rec {
      kernel = run "linux-${version}" { passthru = { inherit version; }; } ''
        mkdir -p "$out/lib/modules/${version}"
        echo 'linux ${version}' > "$out/kernel"
      '';
      inherit version;
    };
    # Nothing is fetched: the sources are an empty folder named like what was asked for.
    fetchFromGitHub = args: run "source" { inherit (args) owner repo; rev = args.rev or args.tag or ""; } ''mkdir "$out"'';
    fetchFromGitLab = self.fetchFromGitHub;
    fetchurl = args: run (args.name or (baseNameOf (args.url or "file"))) { } ''mkdir "$out"'';
    fetchzip = self.fetchurl;
    fetchgit = args: run "source" { } ''mkdir "$out"'';
  };

  make =
    overlays:
    let
      self = lib.foldl' (f: overlay: lib.extends overlay f) base overlays;
      pkgs = lib.fix self // {
        inherit overlays;
        extend = overlay: make (overlays ++ [ overlay ]);
        appendOverlays = more: make (overlays ++ more);
      };
    in
    pkgs;
in
make [ ]
