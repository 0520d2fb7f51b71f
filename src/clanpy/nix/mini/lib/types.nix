{ lib }:
let
  inherit (lib)
    mergeEqualOption
    mergeOneOption
    mergeAny
    effective
    showOption
    ;

  # `joined` is the part of a type that two declarations of one option may bring together (sub-modules, elements).
  mkOptionType =
    {
      name,
      description ? name,
      check ? (_: true),
      merge ? mergeAny,
      emptyValue ? { },
      joined ? null,
      rejoin ? null,
      ...
    }@args:
    {
      descriptionClass = null;
      getSubOptions = _: { };
      getSubModules = null;
      nestedTypes = { };
      functor = { inherit name; };
    }
    // args
    // {
      _type = "option-type";
      inherit
        name
        description
        check
        merge
        emptyValue
        joined
        rejoin
        ;
    };

  plain =
    name: description: check:
    mkOptionType {
      inherit name description check;
      merge = mergeEqualOption;
    };
  concatenated =
    name: sep:
    mkOptionType {
      inherit name;
      description = "strings concatenated with ${builtins.toJSON sep}";
      check = builtins.isString;
      merge = _: defs: lib.concatStringsSep sep (lib.getValues defs);
    };
  between =
    lo: hi:
    plain "intBetween" "integer between ${toString lo} and ${toString hi} (both inclusive)" (
      x: builtins.isInt x && x >= lo && x <= hi
    );

  # One element of a list or set: its own definitions, merged by its own type.
  element =
    type: loc: defs:
    lib.mergeDefinitions loc type defs;

  wrapping =
    {
      name,
      description,
      elem,
      make,
      ...
    }@args:
    mkOptionType (
      {
        joined = elem;
        rejoin = make;
        nestedTypes.elemType = elem;
        getSubModules = elem.getSubModules or null;
        getSubOptions = elem.getSubOptions or (_: { });
      }
      // builtins.removeAttrs args [
        "elem"
        "make"
      ]
    );

  set =
    lazy: elem:
    wrapping {
      name = if lazy then "lazyAttrsOf" else "attrsOf";
      description = "${if lazy then "lazy " else ""}attribute set of ${elem.description}";
      inherit elem;
      make = set lazy;
      check = builtins.isAttrs;
      emptyValue.value = { };
      merge =
        loc: defs:
        let
          pushed = builtins.concatMap (def: map (value: def // { inherit value; }) (lib.pushDown def.value)) defs;
          sub =
            n:
            builtins.concatMap (
              def:
              lib.optional (def.value ? ${n}) {
                inherit (def) file;
                value = def.value.${n};
              }
            ) pushed;
          all = builtins.foldl' (a: def: a // def.value) { } pushed;
          values = builtins.mapAttrs (n: _: element elem (loc ++ [ n ]) (sub n)) all;
        in
        if lazy then
          builtins.mapAttrs (_: e: e.value or elem.emptyValue.value) values
        else
          builtins.mapAttrs (_: e: e.value) (lib.filterAttrs (_: e: e.isDefined) values);
    };

  submoduleWith =
    {
      modules,
      specialArgs ? { },
      shorthandOnlyDefinesConfig ? false,
      freeform ? false,
      description ? null,
      class ? null,
    }@attrs:
    let
      asModule =
        def:
        if shorthandOnlyDefinesConfig && builtins.isAttrs def.value then
          {
            _file = def.file;
            config = def.value;
          }
        else
          {
            _file = def.file;
            imports = [ def.value ];
          };
      evaluate =
        loc: extra:
        lib.evalModules {
          modules = [ { _module.args.name = lib.last loc; } ] ++ modules ++ extra;
          inherit specialArgs freeform;
          prefix = loc;
        };
    in
    mkOptionType {
      name = "submodule";
      description = if description != null then description else "submodule";
      check = x: builtins.isAttrs x || lib.isFunction x || builtins.isPath x;
      merge = loc: defs: (evaluate loc (map asModule defs)).config;
      emptyValue.value = { };
      getSubModules = modules;
      getSubOptions = prefix: (evaluate (prefix ++ [ "<name>" ]) [ ]).options;
      joined = attrs;
      rejoin = submoduleWith;
    };

  either =
    a: b:
    mkOptionType {
      name = "either";
      description = "${a.description} or ${b.description}";
      check = x: a.check x || b.check x;
      emptyValue = a.emptyValue;
      nestedTypes = {
        left = a;
        right = b;
      };
      merge =
        loc: defs:
        let
          values = lib.getValues defs;
        in
        if builtins.all a.check values then
          a.merge loc defs
        else if builtins.all b.check values then
          b.merge loc defs
        else
          mergeAny loc defs;
    };

  moduleLike = x: builtins.isAttrs x || lib.isFunction x || builtins.isPath x;
in
{
  inherit mkOptionType;
  isOptionType = lib.isType "option-type";

  # Two declarations of one option: the type of both, or null where they don't go together.
  mergeTypes =
    a: b:
    if a.name != b.name then
      null
    else if a.name == "submodule" then
      a.rejoin (a.joined // { modules = a.joined.modules ++ b.joined.modules; })
    else if a.name == "enum" then
      a.rejoin (lib.unique (a.joined ++ b.joined))
    else if a.joined != null then
      let
        inner = lib.mergeTypes a.joined b.joined;
      in
      if inner == null then null else a.rejoin inner
    else
      a;

  types = rec {
    inherit
      mkOptionType
      either
      submoduleWith
      ;
    anything = mkOptionType {
      name = "anything";
      merge = mergeAny;
    };
    unspecified = mkOptionType { name = "unspecified"; };
    raw = mkOptionType {
      name = "raw";
      description = "raw value";
      merge = mergeOneOption;
    };
    bool = plain "bool" "boolean" builtins.isBool;
    boolByOr = mkOptionType {
      name = "boolByOr";
      description = "boolean (merged using or)";
      check = builtins.isBool;
      merge = _: defs: builtins.any (def: def.value) defs;
    };
    int = plain "int" "signed integer" builtins.isInt;
    float = plain "float" "floating point number" builtins.isFloat;
    number = either int float;
    numbers = {
      between = lo: hi: addCheck number (x: x >= lo && x <= hi);
      nonnegative = addCheck number (x: x >= 0);
      positive = addCheck number (x: x > 0);
    };
    ints = {
      inherit between;
      unsigned = plain "unsignedInt" "unsigned integer, meaning >=0" (x: builtins.isInt x && x >= 0);
      positive = plain "positiveInt" "positive integer, meaning >0" (x: builtins.isInt x && x > 0);
      u8 = between 0 255;
      u16 = between 0 65535;
      u32 = between 0 4294967295;
      s8 = between (-128) 127;
      s16 = between (-32768) 32767;
      s32 = between (-2147483648) 2147483647;
    };
    port = between 0 65535 // {
      name = "unsignedInt16";
      description = "16 bit unsigned integer; between 0 and 65535 (both inclusive)";
    };
    str = plain "str" "string" builtins.isString;
    string = str;
    nonEmptyStr = plain "nonEmptyStr" "non-empty string" (x: builtins.isString x && builtins.match "[ \t\n]*" x == null);
    singleLineStr = plain "singleLineStr" "(optionally newline-terminated) single-line string" (
      x: builtins.isString x && builtins.match "[^\n\r]*\n?" x != null
    );
    passwdEntry = type: addCheck type (x: builtins.match "[^:\n]*" x != null);
    strMatching =
      pattern:
      plain "strMatching" "string matching the pattern ${pattern}" (x: builtins.isString x && builtins.match pattern x != null);
    separatedString = concatenated "separatedString";
    lines = concatenated "lines" "\n";
    commas = concatenated "commas" ",";
    envVar = concatenated "envVar" ":";
    path = plain "path" "absolute path" (x: lib.isStringLike x && builtins.substring 0 1 (toString x) == "/");
    pathInStore = addCheck path (x: lib.hasPrefix builtins.storeDir (toString x));
    externalPath = path;
    package = mkOptionType {
      name = "package";
      check = x: lib.isDerivation x || lib.isStorePath x;
      merge = mergeOneOption;
    };
    shellPackage = package;
    pkgs = raw;
    attrs = mkOptionType {
      name = "attrs";
      description = "attribute set";
      check = builtins.isAttrs;
      emptyValue.value = { };
      merge = _: builtins.foldl' (a: def: a // def.value) { };
    };
    enum =
      values:
      plain "enum" "one of ${lib.concatMapStringsSep ", " builtins.toJSON values}" (x: builtins.elem x values)
      // {
        joined = values;
        rejoin = enum;
      };
    listOf =
      elem:
      wrapping {
        name = "listOf";
        description = "list of ${elem.description}";
        inherit elem;
        make = listOf;
        check = builtins.isList;
        emptyValue.value = [ ];
        merge =
          loc: defs:
          map (e: e.value) (
            builtins.filter (e: e.isDefined) (
              lib.concatLists (
                lib.imap1 (
                  n: def:
                  lib.imap1 (
                    m: value:
                    element elem (loc ++ [ "[definition ${toString n}-entry ${toString m}]" ]) [
                      {
                        inherit (def) file;
                        inherit value;
                      }
                    ]
                  ) def.value
                ) defs
              )
            )
          );
      };
    nonEmptyListOf = elem: addCheck (listOf elem) (l: l != [ ]) // { emptyValue = { }; };
    attrsOf = set false;
    lazyAttrsOf = set true;
    attrsWith =
      {
        elemType,
        lazy ? false,
        ...
      }:
      set lazy elemType;
    nullOr =
      elem:
      wrapping {
        name = "nullOr";
        description = "null or ${elem.description}";
        inherit elem;
        make = nullOr;
        check = x: x == null || elem.check x;
        emptyValue.value = null;
        merge =
          loc: defs:
          let
            nulls = builtins.length (builtins.filter (def: def.value == null) defs);
          in
          if nulls == builtins.length defs then
            null
          else if nulls > 0 then
            throw "The option `${showOption loc}` is defined both null and not null, in ${lib.showFiles (lib.getFiles defs)}."
          else
            elem.merge loc defs;
      };
    uniq = unique { message = ""; };
    unique =
      { message }:
      elem:
      wrapping {
        name = "unique";
        inherit (elem) description check;
        inherit elem;
        make = unique { inherit message; };
        emptyValue = elem.emptyValue;
        merge =
          loc: defs:
          if builtins.length defs == 1 then
            elem.merge loc defs
          else
            throw "The option `${showOption loc}' is defined multiple times while it's expected to be unique.\n${message}\nDefinition values:${lib.showDefs defs}";
      };
    functionTo =
      elem:
      mkOptionType {
        name = "functionTo";
        description = "function that evaluates to ${elem.description}";
        check = lib.isFunction;
        merge = loc: defs: arg: (element elem (loc ++ [ "<function body>" ]) (map (def: def // { value = def.value arg; }) defs)).value;
      };
    submodule =
      modules:
      submoduleWith {
        shorthandOnlyDefinesConfig = true;
        modules = lib.toList modules;
      };
    # a submodule that takes every other name too
    freeformSubmodule =
      modules:
      submoduleWith {
        shorthandOnlyDefinesConfig = true;
        freeform = true;
        modules = lib.toList modules;
      };
    deferredModule = deferredModuleWith { };
    deferredModuleWith =
      {
        staticModules ? [ ],
      }:
      mkOptionType {
        name = "deferredModule";
        description = "module";
        check = moduleLike;
        merge = loc: defs: {
          imports = staticModules ++ map (def: lib.setDefaultModuleLocation "${def.file}, via option ${showOption loc}" def.value) defs;
        };
      };
    optionType = mkOptionType {
      name = "optionType";
      check = lib.isOptionType;
      merge = mergeOneOption;
    };
    oneOf = ts: builtins.foldl' either (builtins.head ts) (builtins.tail ts);
    coercedTo =
      from: f: to:
      mkOptionType {
        name = "coercedTo";
        description = "${to.description} or ${from.description} convertible to it";
        check = x: (from.check x && to.check (f x)) || to.check x;
        emptyValue = to.emptyValue;
        merge = loc: defs: to.merge loc (map (def: def // { value = if from.check def.value then f def.value else def.value; }) defs);
      };
    addCheck = type: check: type // { check = x: type.check x && check x; };
    attrTag =
      tags:
      mkOptionType {
        name = "attrTag";
        check = x: builtins.isAttrs x && builtins.length (builtins.attrNames x) == 1 && tags ? ${builtins.head (builtins.attrNames x)};
        merge =
          loc: defs:
          let
            tag = builtins.head (builtins.attrNames (builtins.head defs).value);
          in
          {
            ${tag} =
              (element tags.${tag}.type (loc ++ [ tag ]) (map (def: def // { value = def.value.${tag}; }) defs)).value;
          };
      };
  };
}
