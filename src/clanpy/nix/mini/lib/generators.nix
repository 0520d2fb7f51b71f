{ lib }:
let
  inherit (lib) concatStringsSep mapAttrsToList;
in
{
  generators = rec {
    mkValueStringDefault =
      { }:
      v:
      if builtins.isBool v then
        lib.boolToString v
      else if v == null then
        "null"
      else
        toString v;
    mkKeyValueDefault =
      {
        mkValueString ? mkValueStringDefault { },
      }:
      sep: k: v:
      "${lib.escape [ sep ] k}${sep}${mkValueString v}";
    toKeyValue =
      {
        mkKeyValue ? mkKeyValueDefault { } "=",
        listsAsDuplicateKeys ? false,
        indent ? "",
      }:
      attrs:
      lib.concatStrings (
        lib.concatLists (
          mapAttrsToList (
            k: v: map (x: "${indent}${mkKeyValue k x}\n") (if listsAsDuplicateKeys then lib.toList v else [ v ])
          ) attrs
        )
      );
    toINI =
      {
        mkSectionName ? lib.escape [ "[" "]" ],
        mkKeyValue ? mkKeyValueDefault { } "=",
        listsAsDuplicateKeys ? false,
      }:
      sections:
      concatStringsSep "\n" (
        mapAttrsToList (
          name: values: "[${mkSectionName name}]\n" + toKeyValue { inherit mkKeyValue listsAsDuplicateKeys; } values
        ) sections
      );
    toINIWithGlobalSection =
      options:
      {
        globalSection ? { },
        sections ? { },
      }:
      toKeyValue options globalSection + toINI options sections;
    toGitINI =
      attrs:
      let
        section =
          name: values:
          let
            leaves = lib.filterAttrs (_: v: !(builtins.isAttrs v)) values;
            subs = lib.filterAttrs (_: builtins.isAttrs) values;
            quoted = lib.escape [ "\\" "\"" ];
          in
          lib.optionalString (leaves != { }) (
            "[${name}]\n"
            + toKeyValue {
              listsAsDuplicateKeys = true;
              indent = "\t";
              mkKeyValue = mkKeyValueDefault { mkValueString = gitValue; } " = ";
            } leaves
            + "\n"
          )
          + lib.concatStrings (mapAttrsToList (sub: section "${name} \"${quoted sub}\"") subs);
        gitValue = v: if builtins.isString v then "\"${lib.escape [ "\\" "\"" ] v}\"" else mkValueStringDefault { } v;
      in
      lib.removeSuffix "\n" (lib.concatStrings (mapAttrsToList section attrs));
    toJSON = { }: builtins.toJSON;
    toYAML = { }: builtins.toJSON;
    toPretty =
      {
        multiline ? false,
        ...
      }:
      v:
      if builtins.isString v then
        builtins.toJSON v
      else if builtins.isList v then
        "[ ${lib.concatMapStrings (x: "${toPretty { } x} ") v}]"
      else if lib.isDerivation v then
        "<derivation ${v.name or "?"}>"
      else if lib.isFunction v then
        "<function>"
      else if builtins.isAttrs v then
        "{ ${lib.concatStrings (mapAttrsToList (n: x: "${lib.escapeNixIdentifier n} = ${toPretty { } x}; ") v)}}"
      else if v == null then
        "null"
      else if builtins.isBool v then
        lib.boolToString v
      else
        toString v;
    toPlist =
      {
        escape ? true,
      }:
      v:
      let
        element =
          x:
          if x == null then
            ""
          else if builtins.isBool x then
            "<${lib.boolToString x}/>"
          else if builtins.isInt x then
            "<integer>${toString x}</integer>"
          else if builtins.isFloat x then
            "<real>${toString x}</real>"
          else if builtins.isList x then
            "<array>\n${lib.concatMapStrings (y: element y + "\n") x}</array>"
          else if builtins.isAttrs x && !(lib.isStringLike x) then
            "<dict>\n${
              lib.concatStrings (
                mapAttrsToList (n: y: "<key>${lib.escapeXML n}</key>\n${element y}\n") (lib.filterAttrs (_: y: y != null) x)
              )
            }</dict>"
          else
            "<string>${lib.escapeXML "${x}"}</string>";
      in
      ''
        <?xml version="1.0" encoding="UTF-8"?>
        <!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
        <plist version="1.0">
        ${element v}
        </plist>
      '';
  };

  # A value as JSON could hold it: packages as their paths, what has no plain form by its kind.
  plainData =
    let
      go =
        depth: v:
        if lib.isFunction v then
          "<function>"
        else if builtins.isList v then
          map (go (depth + 1)) v
        else if builtins.isPath v then
          "${v}"
        else if !(builtins.isAttrs v) then
          v
        else if v ? outPath then
          "${v}"
        else if v ? _type then
          "<${toString v._type}>"
        else if depth > 12 then
          "<deep>"
        else
          builtins.mapAttrs (_: go (depth + 1)) v;
    in
    go 0;

  # TOML of the values that configuration files hold: tables, scalars, lists
  toTOML =
    let
      scalar =
        v:
        if builtins.isList v then
          "[${lib.concatMapStringsSep ", " scalar v}]"
        else if builtins.isAttrs v && !(lib.isStringLike v) then
          "{ ${concatStringsSep ", " (mapAttrsToList (k: x: "${key k} = ${scalar x}") v)} }"
        else
          builtins.toJSON v;
      key = k: if builtins.match "[A-Za-z0-9_-]+" k != null then k else builtins.toJSON k;
      isTable = v: builtins.isAttrs v && !(lib.isStringLike v);
      table =
        path: set:
        let
          leaves = lib.filterAttrs (_: v: !(isTable v) && v != null) set;
          tables = lib.filterAttrs (_: isTable) set;
          header = lib.optionalString (path != [ ] && (leaves != { } || tables == { })) "[${lib.concatMapStringsSep "." key path}]\n";
        in
        header
        + lib.concatStrings (mapAttrsToList (k: v: "${key k} = ${scalar v}\n") leaves)
        + lib.concatStrings (mapAttrsToList (k: table (path ++ [ k ])) tables);
    in
    table [ ];
}
