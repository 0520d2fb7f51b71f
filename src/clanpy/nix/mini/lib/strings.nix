{ lib }:
rec {
  inherit (builtins)
    concatStringsSep
    replaceStrings
    stringLength
    substring
    match
    split
    splitVersion
    compareVersions
    unsafeDiscardStringContext
    baseNameOf
    dirOf
    hashString
    hashFile
    toFile
    ;
  concatStrings = concatStringsSep "";
  concatLines = concatMapStrings (x: x + "\n");
  concatMapStrings = f: xs: concatStrings (map f xs);
  concatMapStringsSep =
    sep: f: xs:
    concatStringsSep sep (map f xs);
  concatImapStringsSep =
    sep: f: xs:
    concatStringsSep sep (lib.imap1 f xs);
  concatMapAttrsStringSep =
    sep: f: set:
    concatStringsSep sep (lib.mapAttrsToList f set);
  intersperse =
    sep: xs:
    if xs == [ ] then
      [ ]
    else
      builtins.tail (
        builtins.concatMap (x: [
          sep
          x
        ]) xs
      );
  optionalString = cond: s: if cond then s else "";
  hasPrefix = prefix: s: substring 0 (stringLength prefix) s == prefix;
  hasSuffix =
    suffix: s:
    let
      n = stringLength s;
      m = stringLength suffix;
    in
    n >= m && substring (n - m) m s == suffix;
  hasInfix = infix: s: builtins.length (split (escapeRegex infix) s) > 1;
  removePrefix = prefix: s: if hasPrefix prefix s then substring (stringLength prefix) (-1) s else s;
  removeSuffix = suffix: s: if hasSuffix suffix s then substring 0 (stringLength s - stringLength suffix) s else s;
  splitString = sep: s: builtins.filter builtins.isString (split (escapeRegex (toString sep)) (toString s));
  stringToCharacters = s: builtins.genList (i: substring i 1 s) (stringLength s);
  stringAsChars = f: s: concatStrings (map f (stringToCharacters s));
  escape = chars: replaceStrings chars (map (c: "\\${c}") chars);
  escapeRegex = escape (stringToCharacters "\\[{()^$?*+|.");
  escapeNixString = s: replaceStrings [ "$" ] [ "\\$" ] (builtins.toJSON s);
  escapeNixIdentifier = s: if match "[a-zA-Z_][a-zA-Z0-9_'-]*" s != null then s else escapeNixString s;
  escapeShellArg =
    arg:
    let
      s = toString arg;
    in
    if match "[[:alnum:],._+:@%/-]+" s != null then s else "'${replaceStrings [ "'" ] [ "'\\''" ] s}'";
  escapeShellArgs = concatMapStringsSep " " escapeShellArg;
  escapeXML = replaceStrings [ "&" "\"" "'" "<" ">" ] [ "&amp;" "&quot;" "&apos;" "&lt;" "&gt;" ];
  escapeSystemdPath = s: replaceStrings [ "/" ] [ "-" ] (removePrefix "/" s);
  isValidPosixName = name: match "[a-zA-Z_][a-zA-Z0-9_]*" name != null;
  toShellVar =
    name: value:
    lib.throwIfNot (isValidPosixName name) "toShellVar: ${name} is not a valid shell variable name" "${name}=${escapeShellArg value}";
  toShellVars = vars: concatStringsSep "\n" (lib.mapAttrsToList toShellVar vars);
  quoteNix = s: "\"${s}\"";
  lowerChars = stringToCharacters "abcdefghijklmnopqrstuvwxyz";
  upperChars = stringToCharacters "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  toLower = replaceStrings upperChars lowerChars;
  toUpper = replaceStrings lowerChars upperChars;
  toSentenceCase = s: toUpper (substring 0 1 s) + toLower (substring 1 (-1) s);
  toInt =
    s:
    let
      n = builtins.fromJSON (trim s);
    in
    if builtins.isInt n then n else throw "toInt: could not convert ${escapeNixString s} to int";
  trim =
    s:
    let
      found = match "[[:space:]]*(.*[^[:space:]])[[:space:]]*" s;
    in
    if found == null then "" else builtins.head found;
  trimWith =
    {
      start ? false,
      end ? false,
    }:
    s:
    let
      left = if start then builtins.head (match "[[:space:]]*(.*)" s) else s;
      right = match "(.*[^[:space:]])[[:space:]]*" left;
    in
    if !end then
      left
    else if right == null then
      ""
    else
      builtins.head right;
  fixedWidthString =
    width: filler: s:
    if stringLength s >= width then s else filler + fixedWidthString (width - stringLength filler) filler s;
  fixedWidthNumber = width: n: fixedWidthString width "0" (toString n);
  floatToString = f: toString f;
  fileContents = file: removeSuffix "\n" (builtins.readFile file);
  readLines = file: splitString "\n" (fileContents file);
  commonSuffixLength = _: _: 0;
  versionOlder = a: b: compareVersions b a == 1;
  versionAtLeast = a: b: !versionOlder a b;
  getName = x: if builtins.isString x then (builtins.parseDrvName x).name else x.pname or (builtins.parseDrvName x.name).name;
  getVersion = x: if builtins.isString x then (builtins.parseDrvName x).version else x.version or (builtins.parseDrvName x.name).version;
  nameFromURL = url: sep: builtins.head (splitString sep (lib.last (splitString "/" url)));
  versions = rec {
    splitVersion = builtins.splitVersion;
    major = v: builtins.elemAt (splitVersion v) 0;
    minor = v: builtins.elemAt (splitVersion v) 1;
    majorMinor = v: concatStringsSep "." (lib.take 2 (splitVersion v));
  };
  makeSearchPath = sub: pkgs: concatStringsSep ":" (map (p: "${p}/${sub}") (builtins.filter (p: p != null) pkgs));
  makeSearchPathOutput = output: sub: pkgs: makeSearchPath sub (map (lib.getOutput output) pkgs);
  makeBinPath = makeSearchPathOutput "bin" "bin";
  makeLibraryPath = makeSearchPathOutput "lib" "lib";
  isStringLike = x: builtins.isString x || builtins.isPath x || x ? outPath || x ? __toString;
  isConvertibleWithToString = x: isStringLike x || builtins.isInt x || builtins.isBool x || builtins.isFloat x || x == null;
  isStorePath = x: isStringLike x && hasPrefix "${builtins.storeDir}/" (toString x) && dirOf (toString x) == builtins.storeDir;
  sanitizeDerivationName =
    s:
    let
      clean = stringAsChars (c: if match "[a-zA-Z0-9+._?=-]" c != null then c else "-") (unsafeDiscardStringContext s);
    in
    if clean == "" then "unknown" else removePrefix "." clean;
  getExe = x: "${lib.getBin x}/bin/${x.meta.mainProgram or (getName x)}";
  getExe' = x: name: "${lib.getBin x}/bin/${name}";
}
