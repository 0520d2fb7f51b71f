# A module evaluator: the meaning of nixpkgs' `evalModules` for what systems are made of, and one liberty: with
# `freeform = true` every option that nobody declares is accepted and merged by what its values look like.
{ lib }:
let
  inherit (builtins)
    attrNames
    concatMap
    foldl'
    isAttrs
    isPath
    isString
    mapAttrs
    ;
  inherit (lib)
    effective
    isOption
    optional
    pushDown
    showDefs
    showOption
    ;

  structured = [
    "_class"
    "_file"
    "key"
    "disabledModules"
    "imports"
    "options"
    "config"
    "meta"
    "freeformType"
  ];

  union = foldl' (a: b: a // b) { };
  select =
    name: defs:
    concatMap (
      def:
      optional (def.value ? ${name}) {
        inherit (def) file;
        value = def.value.${name};
      }
    ) defs;

  # A module as it was written becomes `{ key, file, imports, options, config, freeformType, disabled }`.
  normalise =
    { file, key }:
    m:
    let
      long = m ? config || m ? options;
      stray = builtins.removeAttrs m structured;
      self = {
        file = toString (m._file or file);
        key = toString (m.key or key);
        imports = m.imports or [ ];
        disabled = m.disabledModules or [ ];
        freeformType = m.freeformType or null;
      };
    in
    if !(isAttrs m) then
      throw "Expected a module, but found a value of type \"${builtins.typeOf m}\" in `${file}'."
    else if m ? _type && (lib.isType "if" m || lib.isType "merge" m || lib.isType "override" m) then
      {
        inherit file key;
        imports = [ ];
        disabled = [ ];
        freeformType = null;
        options = { };
        config = m;
      }
    else if m ? _type && m._type != "module" then
      throw "Expected a module, but found a value of type ${builtins.toJSON m._type}, while trying to load a module into `${file}'."
    else if long && stray != { } then
      throw "Module `${self.key}' has an unsupported attribute `${builtins.head (attrNames stray)}'. This is caused by introducing a top-level `config' or `options' attribute. Add configuration attributes immediately on the top level instead, or move all of them into the explicit `config' attribute."
    else
      self
      // {
        options = m.options or { };
        config = if long then m.config or { } else builtins.removeAttrs m structured;
      };

  callModule =
    { args, config }:
    key: f:
    let
      wanted = lib.functionArgs f;
      extra = mapAttrs (
        name: _:
        builtins.addErrorContext "while evaluating the module argument `${name}' in \"${key}\":" (
          args.${name} or config._module.args.${name}
        )
      ) wanted;
    in
    if lib.isFunction f then f (args // extra) else f;

  load =
    ctx: parent: n: m:
    let
      isFile = isPath m || isString m || (isAttrs m && m ? outPath && !(m ? _type));
      path = if isAttrs m then m.outPath else m;
      id =
        if isFile then
          {
            file = toString path;
            key = toString path;
          }
        else
          {
            inherit (parent) file;
            key = "${parent.key}:anon-${toString n}";
          };
    in
    if builtins.isList m then
      throw "Module imports can't be nested lists. Perhaps you meant to remove one level of lists? In `${parent.file}'."
    else
      normalise id (callModule ctx id.key (if isFile then import path else m));

  collect =
    ctx: modules:
    let
      children = parent: lib.imap1 (load ctx parent) parent.imports;
      asItem = module: { inherit (module) key; inherit module; };
      root = {
        file = "<unknown-file>";
        key = "";
        imports = modules;
      };
      found = map (item: item.module) (
        builtins.genericClosure {
          startSet = map asItem (children root);
          operator = item: map asItem (children item.module);
        }
      );
      disabledKeys = map (d: if isAttrs d then toString d.key else toString d) (concatMap (m: m.disabled) found);
      without = builtins.genericClosure {
        startSet = map asItem (builtins.filter (m: !(builtins.elem m.key disabledKeys)) (children root));
        operator = item: builtins.filter (i: !(builtins.elem i.key disabledKeys)) (map asItem (children item.module));
      };
    in
    if disabledKeys == [ ] then found else map (item: item.module) without;

  # `value`, `isDefined` and what `options.<name>` tells about it.
  mergeDefinitions =
    loc: type: defs:
    let
      discharged = concatMap (def: map (value: def // { inherit value; }) (lib.discharge def.value)) defs;
      strongest = lib.filterOverrides' discharged;
      kept = lib.sortProperties strongest.values;
      wrong = builtins.filter (def: !(type.check def.value)) kept;
    in
    {
      isDefined = kept != [ ];
      definitions = kept;
      inherit (strongest) highestPrio;
      value =
        if kept == [ ] then
          type.emptyValue.value or (throw "The option `${showOption loc}' was accessed but has no value defined. Try setting the option.")
        else if wrong != [ ] then
          throw "A definition for option `${showOption loc}' is not of type `${type.description}'. Definition values:${showDefs wrong}"
        else
          type.merge loc kept;
    };

  joinDeclarations =
    loc: decls:
    let
      join =
        a: b:
        let
          type = if a ? type && b ? type then lib.mergeTypes a.type b.type else a.type or b.type or null;
        in
        if a ? default && b ? default || a ? type && b ? type && type == null then
          throw "The option `${showOption loc}' in `${b.file}' is already declared in `${a.file}'."
        else
          a // b // lib.optionalAttrs (type != null) { inherit type; };
      flat = map (d: d.value // { inherit (d) file; }) decls;
    in
    foldl' join (builtins.head flat) (builtins.tail flat);

  evalOption =
    loc: decls: defs:
    let
      opt = joinDeclarations loc decls;
      type = opt.type or lib.types.unspecified;
      byDefault = optional (opt ? default) {
        inherit (opt) file;
        value = lib.mkOptionDefault opt.default;
      };
      all = byDefault ++ defs;
      merged = mergeDefinitions loc type all;
      readOnlyTwice = opt.readOnly or false && builtins.length all > 1;
      value = builtins.addErrorContext "while evaluating the option `${showOption loc}':" (
        if readOnlyTwice then
          throw "The option `${showOption loc}' is read-only, but it's set multiple times. Definition values:${showDefs defs}"
        else
          (opt.apply or lib.id) merged.value
      );
    in
    builtins.removeAttrs opt [ "file" ]
    // {
      _type = "option";
      inherit loc value type;
      inherit (merged) isDefined highestPrio;
      definitions = lib.getValues merged.definitions;
      definitionsWithLocations = merged.definitions;
      files = lib.getFiles merged.definitions;
      declarations = lib.getFiles decls;
      __toString = _: showOption loc;
    };

  # Below this depth an undeclared set is a plain value; above, wrappers move into it, so that one service's condition may
  # read another service's setting.
  treeDepth = 2;

  looksLikeSet =
    v:
    let
      kind = v._type or null;
    in
    isAttrs v
    && (
      if kind == "if" || kind == "override" then
        looksLikeSet v.content
      else if kind == "merge" then
        builtins.all looksLikeSet v.contents
      else
        kind == null && !(lib.isDerivation v) && !(v ? __functor)
    );

  # The tree of options and values at `loc`. `unmatched` holds the definitions that no declaration takes.
  evalTree =
    freeform: loc: decls: defs:
    let
      pushed = concatMap (def: map (value: def // { inherit value; }) (pushDown def.value)) defs;
      notASet = builtins.filter (def: !(isAttrs def.value)) pushed;
      declared = union (map (d: d.value) decls);
      known = mapAttrs (
        name: _:
        let
          here = loc ++ [ name ];
          mine = select name decls;
          isLeaf = map (d: isOption d.value) mine;
        in
        if builtins.all lib.id isLeaf then
          let
            option = evalOption here mine (select name pushed);
          in
          {
            options = option;
            inherit (option) value;
            unmatched = [ ];
          }
        else if builtins.any lib.id isLeaf then
          throw "The option `${showOption here}' in `${(builtins.head mine).file}' would be a parent of the following options, but it is declared as an option itself."
        else
          evalTree freeform here mine (select name pushed)
      ) declared;
      unknown = builtins.removeAttrs (union (map (def: def.value) pushed)) (attrNames declared);
      accept =
        name:
        let
          here = loc ++ [ name ];
          mine = select name pushed;
        in
        if builtins.length here < treeDepth && builtins.all (def: looksLikeSet def.value) mine then
          (evalTree true here [ ] mine).value
        else
          let
            left = effective mine;
          in
          if left == [ ] then { } else lib.mergeAny here left;
      accepted = if freeform then mapAttrs (name: _: accept name) unknown else { };
    in
    if notASet != [ ] then
      throw "In module `${(builtins.head notASet).file}', you're trying to define a value of type `${
        builtins.typeOf (builtins.head notASet).value
      }' rather than an attribute set for the option `${showOption loc}'."
    else
      {
        options = mapAttrs (_: k: k.options) known;
        value = mapAttrs (_: k: k.value) known // accepted;
        unmatched =
          lib.optionals (!freeform) (
            concatMap (
              name:
              map (def: {
                loc = loc ++ [ name ];
                inherit def;
              }) (builtins.filter (def: lib.discharge def.value != [ ]) (select name pushed))
            ) (attrNames unknown)
          )
          ++ concatMap (k: k.unmatched) (builtins.attrValues known);
      };

  internal = {
    _file = "<mini>";
    key = "<mini>:internal";
    options._module = {
      args = lib.mkOption {
        type = lib.types.lazyAttrsOf lib.types.raw;
        default = { };
      };
      check = lib.mkOption {
        type = lib.types.bool;
        default = true;
      };
      freeformType = lib.mkOption {
        type = lib.types.raw;
        default = null;
      };
    };
  };

  evalModules =
    {
      modules,
      specialArgs ? { },
      prefix ? [ ],
      freeform ? false,
      args ? { },
      check ? true,
      class ? null,
    }@given:
    let
      ctx = {
        args = {
          inherit lib options config;
          inherit specialArgs;
          _prefix = prefix;
          modulesPath = toString ../.;
        }
        // specialArgs;
        config = tree.value;
      };
      collected = collect ctx (modules ++ [ internal ] ++ optional (args != { }) { config._module = { inherit args; }; });
      ordered = lib.reverseList collected;
      tree = evalTree freeform prefix (map (m: { inherit (m) file; value = m.options; }) ordered) (
        map (m: { inherit (m) file; value = m.config; }) ordered
      );
      freeformTypes = builtins.filter (t: t != null) (map (m: m.freeformType) ordered ++ [ tree.value._module.freeformType ]);
      loose =
        let
          relative = path: lib.drop (builtins.length prefix) path;
          defs = map (u: {
            inherit (u.def) file;
            value = lib.setAttrByPath (relative u.loc) u.def.value;
          }) tree.unmatched;
        in
        if defs == [ ] then { } else (mergeDefinitions prefix (builtins.head freeformTypes) defs).value;
      first = builtins.head tree.unmatched;
      near = lib.suggest (lib.last first.loc) (attrNames (lib.attrByPath (lib.init (lib.drop (builtins.length prefix) first.loc)) { } tree.options));
      checked =
        if freeformTypes != [ ] then
          lib.recursiveUpdate loose tree.value
        else if check && tree.value._module.check && tree.unmatched != [ ] then
          throw "The option `${showOption first.loc}' does not exist. Definition values:${showDefs [ first.def ]}${
            lib.optionalString (near != null) "\n\nDid you mean `${showOption (lib.init first.loc ++ [ near ])}'?"
          }"
        else
          tree.value;
      config = builtins.removeAttrs checked [ "_module" ];
      options = tree.options;
    in
    {
      _type = "configuration";
      inherit config options class;
      _module = tree.value._module;
      type = lib.types.submoduleWith { inherit modules specialArgs; };
      extendModules =
        {
          modules ? [ ],
          specialArgs ? { },
          prefix ? [ ],
        }:
        evalModules (
          given
          // {
            modules = given.modules ++ modules;
            specialArgs = (given.specialArgs or { }) // specialArgs;
            prefix = (given.prefix or [ ]) ++ prefix;
          }
        );
    };
in
{
  inherit evalModules mergeDefinitions;

  # The candidate that differs least, by a cheap measure: the longest common beginning and end.
  suggest =
    name: candidates:
    let
      chars = lib.stringToCharacters;
      likeness =
        other:
        let
          a = chars name;
          b = chars other;
          front = builtins.length (lib.commonPrefix a b);
          back = builtins.length (lib.commonPrefix (lib.reverseList a) (lib.reverseList b));
        in
        front + back;
      best = foldl' (
        acc: c:
        let
          l = likeness c;
        in
        if l > acc.l then { inherit l c; } else acc
      ) { l = 1; c = null; } candidates;
    in
    best.c;

  setDefaultModuleLocation = file: m: {
    _file = file;
    imports = [ m ];
  };
  mkRemovedOptionModule =
    path: message:
    { options, ... }:
    {
      options = lib.setAttrByPath path (
        lib.mkOption {
          visible = false;
          type = lib.types.unspecified;
          apply = _: throw "The option `${showOption path}' can no longer be used since it's been removed. ${message}";
        }
      );
    };
  mkRenamedOptionModule = from: to: lib.mkAliasOptionModule from to;
  mkAliasOptionModule =
    from: to:
    { config, options, ... }:
    {
      options = lib.setAttrByPath from (
        lib.mkOption {
          type = lib.types.unspecified;
          apply = _: lib.getAttrFromPath to config;
        }
      );
      config = lib.setAttrByPath to (lib.mkAliasDefinitions (lib.getAttrFromPath from options));
    };
}
