{ lib }:
rec {
  inherit (builtins)
    attrNames
    attrValues
    catAttrs
    getAttr
    hasAttr
    intersectAttrs
    listToAttrs
    mapAttrs
    removeAttrs
    zipAttrsWith
    ;
  attrByPath =
    path: default: set:
    if path == [ ] then
      set
    else if builtins.isAttrs set && set ? ${builtins.head path} then
      attrByPath (builtins.tail path) default set.${builtins.head path}
    else
      default;
  hasAttrByPath =
    path: set:
    path == [ ]
    || (builtins.isAttrs set && set ? ${builtins.head path} && hasAttrByPath (builtins.tail path) set.${builtins.head path});
  getAttrFromPath =
    path: set: attrByPath path (throw "cannot find attribute '${lib.concatStringsSep "." path}'") set;
  setAttrByPath =
    path: value:
    if path == [ ] then value else { ${builtins.head path} = setAttrByPath (builtins.tail path) value; };
  nameValuePair = name: value: { inherit name value; };
  genAttrs = names: f: listToAttrs (map (n: nameValuePair n (f n)) names);
  genAttrs' = xs: f: listToAttrs (map f xs);
  mapAttrs' = f: set: listToAttrs (map (n: f n set.${n}) (attrNames set));
  mapAttrsToList = f: set: map (n: f n set.${n}) (attrNames set);
  attrsToList = mapAttrsToList nameValuePair;
  concatMapAttrs = f: set: builtins.foldl' (a: b: a // b) { } (mapAttrsToList f set);
  filterAttrs = pred: set: removeAttrs set (builtins.filter (n: !pred n set.${n}) (attrNames set));
  filterAttrsRecursive =
    pred: set:
    mapAttrs (_: v: if builtins.isAttrs v then filterAttrsRecursive pred v else v) (filterAttrs pred set);
  mapAttrsRecursiveCond =
    cond: f: set:
    let
      go = path: mapAttrs (n: v: if builtins.isAttrs v && cond v then go (path ++ [ n ]) v else f (path ++ [ n ]) v);
    in
    go [ ] set;
  mapAttrsRecursive = mapAttrsRecursiveCond (_: true);
  collect =
    pred: attrs:
    if pred attrs then
      [ attrs ]
    else if builtins.isAttrs attrs then
      builtins.concatMap (collect pred) (attrValues attrs)
    else
      [ ];
  foldAttrs =
    op: nul: sets:
    mapAttrs (_: lib.foldr op nul) (zipAttrsWith (_: vs: vs) sets);
  foldlAttrs =
    f: init: set:
    builtins.foldl' (acc: n: f acc n set.${n}) init (attrNames set);
  zipAttrs = zipAttrsWith (_: vs: vs);
  zipAttrsWithNames = names: f: sets: genAttrs names (n: f n (catAttrs n sets));
  mergeAttrsList = builtins.foldl' (a: b: a // b) { };
  optionalAttrs = cond: set: if cond then set else { };
  recursiveUpdateUntil =
    pred: lhs: rhs:
    let
      go =
        path: l: r:
        l
        // mapAttrs (
          n: v:
          if l ? ${n} && !(pred (path ++ [ n ]) l.${n} v) then go (path ++ [ n ]) l.${n} v else v
        ) r;
    in
    go [ ] lhs rhs;
  recursiveUpdate = recursiveUpdateUntil (_: l: r: !(builtins.isAttrs l && builtins.isAttrs r));
  updateManyAttrsByPath =
    updates: set: builtins.foldl' (s: u: recursiveUpdate s (setAttrByPath u.path (u.update (getAttrFromPath u.path s)))) set updates;
  getAttrs = names: set: genAttrs names (n: set.${n});
  attrVals = names: set: map (n: set.${n}) names;
  isDerivation = x: x.type or null == "derivation";
  toDerivation = path: {
    type = "derivation";
    name = builtins.baseNameOf path;
    outPath = builtins.storePath path;
  };
  cartesianProduct =
    sets:
    builtins.foldl' (acc: n: builtins.concatMap (a: map (v: a // { ${n} = v; }) sets.${n}) acc) [ { } ] (attrNames sets);
  getOutput = output: pkg: pkg.${output} or pkg.out or pkg;
  getBin = getOutput "bin";
  getLib = getOutput "lib";
  getDev = getOutput "dev";
  getMan = getOutput "man";
  recurseIntoAttrs = set: set // { recurseForDerivations = true; };
  dontRecurseIntoAttrs = set: set // { recurseForDerivations = false; };
}
