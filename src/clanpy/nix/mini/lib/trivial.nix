{ lib }:
rec {
  inherit (builtins)
    isString
    isList
    isAttrs
    isInt
    isFloat
    isBool
    isPath
    pathExists
    readFile
    readDir
    fromJSON
    toJSON
    seq
    deepSeq
    bitAnd
    bitOr
    bitXor
    lessThan
    add
    sub
    ;
  version = "26.05mini";
  release = "26.05";
  trivialVersion = version;
  versionSuffix = "mini";

  id = x: x;
  const = x: _: x;
  flip =
    f: a: b:
    f b a;
  pipe = builtins.foldl' (x: f: f x);
  concat = x: y: x ++ y;
  or = x: y: x || y;
  and = x: y: x && y;
  xor = x: y: x != y;
  boolToString = b: if b then "true" else "false";
  boolToYesNo = b: if b then "yes" else "no";
  mergeAttrs = x: y: x // y;
  mapNullable = f: a: if a == null then null else f a;
  defaultTo = default: x: if x == null then default else x;
  min = x: y: if x < y then x else y;
  max = x: y: if x > y then x else y;
  mod = base: int: base - (int * (base / int));
  compare =
    a: b:
    if a < b then
      -1
    else if a > b then
      1
    else
      0;

  warn = msg: x: builtins.trace "evaluation warning: ${msg}" x;
  warnIf = cond: msg: if cond then warn msg else id;
  warnIfNot = cond: msg: warnIf (!cond) msg;
  throwIf = cond: msg: if cond then throw msg else id;
  throwIfNot = cond: msg: throwIf (!cond) msg;
  assertMsg = pred: msg: pred || throw msg;
  assertOneOf =
    name: value: values:
    assertMsg (builtins.elem value values) "${name} must be one of ${lib.generators.toPretty { } values}, but is ${
      lib.generators.toPretty { } value
    }";
  checkListOfEnum =
    msg: valid: given:
    throwIf (
      lib.subtractLists valid given != [ ]
    ) "${msg}: ${lib.concatStringsSep ", " (lib.subtractLists valid given)} is not one of ${lib.concatStringsSep ", " valid}";

  importJSON = path: builtins.fromJSON (builtins.readFile path);
  importTOML = path: fromTOML (builtins.readFile path);

  isFunction = f: builtins.isFunction f || (f ? __functor && isFunction (f.__functor f));
  functionArgs =
    f: if f ? __functor then f.__functionArgs or (functionArgs (f.__functor f)) else builtins.functionArgs f;
  setFunctionArgs = f: args: {
    __functor = _: f;
    __functionArgs = args;
  };
  toFunction = v: if isFunction v then v else _: v;
  mirrorFunctionArgs = f: setFunctionArgs f (functionArgs f);

  fix =
    f:
    let
      x = f x;
    in
    x;
  extends =
    overlay: f: final:
    let
      prev = f final;
    in
    prev // overlay final prev;
  composeExtensions =
    f: g: final: prev:
    let
      first = f final prev;
    in
    first // g final (prev // first);
  composeManyExtensions = builtins.foldl' composeExtensions (_: _: { });
  makeExtensible =
    f: fix (final: f final // { extend = overlay: makeExtensible (extends overlay f); });
}
