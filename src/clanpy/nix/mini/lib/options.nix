{ lib }:
rec {
  mkOption = attrs: attrs // { _type = "option"; };
  isOption = lib.isType "option";
  mkEnableOption =
    name:
    mkOption {
      default = false;
      example = true;
      description = "Whether to enable ${name}.";
      type = lib.types.bool;
    };
  mkPackageOption =
    pkgs: name:
    {
      default ? name,
      nullable ? false,
      ...
    }:
    mkOption {
      type = if nullable then lib.types.nullOr lib.types.package else lib.types.package;
      default = if default == null then null else lib.getAttrFromPath (lib.toList default) pkgs;
      description = "The ${toString name} package to use.";
    };
  mkSinkUndeclaredOptions = attrs: mkOption (attrs // { internal = true; type = lib.types.raw; });
  literalExpression = text: {
    _type = "literalExpression";
    inherit text;
  };
  literalExample = literalExpression;
  literalMD = literalExpression;
  mdDoc = lib.id;

  showOption = parts: lib.concatStringsSep "." (map (p: if builtins.match "[a-zA-Z_*<-][a-zA-Z0-9_*>'-]*" p != null then p else builtins.toJSON p) parts);
  showFiles = files: lib.concatMapStringsSep " and " (f: "`${f}'") files;
  showDefs =
    defs:
    lib.concatMapStrings (
      def:
      let
        tried = builtins.tryEval (lib.generators.toPretty { } def.value);
      in
      "\n- In `${def.file}'" + lib.optionalString (tried.success && builtins.stringLength tried.value < 400) ": ${tried.value}"
    ) defs;
  getValues = map (def: def.value);
  getFiles = map (def: def.file);

  mergeOneOption =
    loc: defs:
    if builtins.length defs == 1 then
      (builtins.head defs).value
    else
      throw "The option `${showOption loc}' is defined multiple times while it's expected to be unique.\nDefinition values:${showDefs defs}";
  mergeUniqueOption = { message }: mergeOneOption;
  mergeEqualOption =
    loc: defs:
    let
      first = (builtins.head defs).value;
    in
    if builtins.all (def: def.value == first) defs then
      first
    else
      throw "The option `${showOption loc}' has conflicting definition values:${showDefs defs}\nUse `lib.mkForce value` or `lib.mkDefault value` to change the priority on any of these definitions.";
  # Whatever it is: sets are merged, lists follow one another, anything else has to be equal.
  mergeAny =
    loc: defs:
    let
      values = getValues defs;
      plainSet = v: builtins.isAttrs v && !(lib.isDerivation v) && !(v ? __functor);
      names = builtins.attrNames (builtins.foldl' (a: b: a // b) { } values);
      sub =
        n:
        lib.effective (
          builtins.concatMap (
            def:
            lib.optional (def.value ? ${n}) {
              inherit (def) file;
              value = def.value.${n};
            }
          ) defs
        );
      merged = lib.filterAttrs (_: ds: ds != [ ]) (lib.genAttrs names sub);
    in
    if builtins.length defs == 1 && !(plainSet (builtins.head values)) && !(builtins.isList (builtins.head values)) then
      builtins.head values
    else if builtins.all plainSet values then
      builtins.mapAttrs (n: mergeAny (loc ++ [ n ])) merged
    else if builtins.all builtins.isList values then
      builtins.concatMap (v: map dischargeItem (builtins.filter keepItem v)) values
    else
      mergeEqualOption loc defs;
  keepItem = v: !(lib.isType "if" v) || v.condition;
  dischargeItem = v: if lib.isType "if" v then v.content else v;
  mergeDefaultOption = mergeAny;
}
