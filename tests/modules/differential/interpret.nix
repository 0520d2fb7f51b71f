# Builds module sets from a description (JSON) and evaluates them with nixpkgs' own lib.
# The same description is built in Python by `interpret.py`.
{ lib, cases }:
let
  inherit (lib) mkOption types;

  functions = {
    toString = x: toString x;
    listify = x: [ x ];
    wrap = x: { value = x; };
    length = x: builtins.stringLength x;
  };

  mkType =
    t:
    let
      name = builtins.head t;
      arg = n: builtins.elemAt t n;
      inner = n: mkType (arg n);
    in
    {
      int = types.int;
      str = types.str;
      bool = types.bool;
      float = types.float;
      number = types.number;
      path = types.path;
      port = types.port;
      positive = types.ints.positive;
      unsigned = types.ints.unsigned;
      between = types.ints.between (arg 1) (arg 2);
      lines = types.lines;
      commas = types.commas;
      separated = types.separatedString (arg 1);
      nonEmptyStr = types.nonEmptyStr;
      strMatching = types.strMatching (arg 1);
      boolByOr = types.boolByOr;
      anything = types.anything;
      raw = types.raw;
      unspecified = types.unspecified;
      enum = types.enum (arg 1);
      listOf = types.listOf (inner 1);
      nonEmptyListOf = types.nonEmptyListOf (inner 1);
      attrsOf = types.attrsOf (inner 1);
      lazyAttrsOf = types.lazyAttrsOf (inner 1);
      nullOr = types.nullOr (inner 1);
      unique = types.unique { message = "only once"; } (inner 1);
      either = types.either (inner 1) (inner 2);
      coercedTo = types.coercedTo (inner 1) functions.${arg 2} (inner 3);
      attrTag = types.attrTag (builtins.mapAttrs (_: o: mkTree o) (arg 1));
      submodule = types.submodule (map mkModule (arg 1));
      submoduleWith = types.submoduleWith { modules = map mkModule (arg 1); };
    }
    .${name};

  mkTree =
    tree:
    if tree ? option then
      mkOption (
        { type = mkType tree.option.type; }
        // lib.optionalAttrs (tree.option ? default) { default = mkValue { } tree.option.default; }
        // lib.optionalAttrs (tree.option.readOnly or false) { readOnly = true; }
        // lib.optionalAttrs (tree.option ? apply) { apply = functions.${tree.option.apply}; }
      )
    else
      builtins.mapAttrs (_: mkTree) tree.group;

  lookup =
    args: path:
    if lib.hasAttrByPath path args.config then lib.getAttrFromPath path args.config else throw "no such value";

  mkCondition =
    args: c:
    if builtins.isBool c then
      c
    else if c ? not then
      !(mkCondition args c.not)
    else if c ? isDefined then
      (lib.getAttrFromPath c.isDefined args.options).isDefined
    else
      lookup args c.ref;

  mkValue =
    args: v:
    if v ? v then
      v.v
    else if v ? set then
      builtins.mapAttrs (_: mkValue args) v.set
    else if v ? list then
      map (mkValue args) v.list
    else if v ? "if" then
      lib.mkIf (mkCondition args (builtins.elemAt v."if" 0)) (mkValue args (builtins.elemAt v."if" 1))
    else if v ? merge then
      lib.mkMerge (map (mkValue args) v.merge)
    else if v ? override then
      lib.mkOverride (builtins.elemAt v.override 0) (mkValue args (builtins.elemAt v.override 1))
    else if v ? order then
      lib.mkOrder (builtins.elemAt v.order 0) (mkValue args (builtins.elemAt v.order 1))
    else if v ? definition then
      lib.mkDefinition {
        file = "elsewhere";
        value = mkValue args v.definition;
      }
    else
      lookup args v.ref;

  mkModule =
    m:
    if m ? rename then
      lib.mkRenamedOptionModule (builtins.elemAt m.rename 0) (builtins.elemAt m.rename 1)
    else if m ? alias then
      lib.mkAliasOptionModule (builtins.elemAt m.alias 0) (builtins.elemAt m.alias 1)
    else
      mkWritten m;

  mkWritten =
    m:
    let
      body =
        args:
        { _file = m.file; }
        // lib.optionalAttrs (m ? key) { key = m.key; }
        // lib.optionalAttrs (m ? imports) { imports = map mkModule m.imports; }
        // lib.optionalAttrs (m ? disabled) { disabledModules = map (key: { inherit key; }) m.disabled; }
        // lib.optionalAttrs (m ? freeform) { freeformType = mkType m.freeform; }
        // (
          if m ? options || m.structured then
            {
              options = builtins.mapAttrs (_: mkTree) (m.options or { });
              config = mkValue args m.config;
            }
          else
            mkValue args m.config
        );
    in
    if m.function then ({ config, options, ... }: body { inherit config options; }) else body { };

  outcome =
    case:
    let
      evaluated = lib.evalModules { modules = map mkModule case.modules; };
      forced = v: builtins.tryEval (builtins.deepSeq v v);
      top = builtins.tryEval (builtins.seq evaluated.config (builtins.attrNames evaluated.config));
      each = builtins.listToAttrs (
        map (name: {
          inherit name;
          value =
            let
              r = forced evaluated.config.${name};
            in
            if r.success then { value = r.value; } else { failed = true; };
        }) top.value
      );
    in
    if top.success then { config = each; } else { failed = true; };

in
{
  outcomes = map outcome cases;
  # One option of one case without a net, so that its error text comes out.
  raw =
    n: name:
    let
      config = (lib.evalModules { modules = map mkModule (builtins.elemAt cases n).modules; }).config;
    in
    if name == null then builtins.attrNames config else builtins.deepSeq config.${name} config.${name};
}
