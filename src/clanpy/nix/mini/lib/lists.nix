{ lib }:
rec {
  inherit (builtins)
    head
    tail
    length
    elem
    elemAt
    map
    filter
    all
    any
    concatLists
    concatMap
    genList
    sort
    partition
    groupBy
    foldl'
    ;
  singleton = x: [ x ];
  foldr =
    op: nul: list:
    let
      n = length list;
      from = i: if i == n then nul else op (elemAt list i) (from (i + 1));
    in
    from 0;
  fold = foldr;
  foldl =
    op: nul: list:
    let
      upTo = i: if i == 0 then nul else op (upTo (i - 1)) (elemAt list (i - 1));
    in
    upTo (length list);
  forEach = xs: f: map f xs;
  imap0 = f: list: genList (i: f i (elemAt list i)) (length list);
  imap1 = f: imap0 (i: f (i + 1));
  ifilter0 = pred: list: map (e: e.value) (filter (e: pred e.index e.value) (imap0 (index: value: { inherit index value; }) list));
  remove = e: filter (x: x != e);
  findSingle =
    pred: default: multiple: list:
    let
      found = filter pred list;
    in
    if found == [ ] then
      default
    else if length found > 1 then
      multiple
    else
      head found;
  findFirst =
    pred: default: list:
    let
      found = filter pred list;
    in
    if found == [ ] then default else head found;
  count = pred: list: length (filter pred list);
  optional = cond: x: if cond then [ x ] else [ ];
  optionals = cond: xs: if cond then xs else [ ];
  toList = x: if builtins.isList x then x else [ x ];
  range = first: last: if first > last then [ ] else genList (n: first + n) (last - first + 1);
  replicate = n: x: genList (_: x) n;
  reverseList =
    xs:
    let
      n = length xs;
    in
    genList (i: elemAt xs (n - i - 1)) n;
  flatten = x: if builtins.isList x then concatMap flatten x else [ x ];
  take = count: sublist 0 count;
  drop = count: list: sublist count (length list) list;
  sublist =
    start: count: list:
    let
      n = length list;
      size =
        if start >= n then
          0
        else if start + count > n then
          n - start
        else
          count;
    in
    genList (i: elemAt list (start + i)) size;
  last = list: elemAt list (length list - 1);
  init = list: take (length list - 1) list;
  unique = foldl' (acc: e: if elem e acc then acc else acc ++ [ e ]) [ ];
  allUnique = list: length (unique list) == length list;
  intersectLists = e: filter (x: elem x e);
  subtractLists = e: filter (x: !(elem x e));
  mutuallyExclusive = a: b: intersectLists a b == [ ];
  crossLists = f: foldl (fs: args: concatMap (g: map g args) fs) [ f ];
  cartesianProductOfSets = lib.cartesianProduct;
  zipListsWith =
    f: fst: snd:
    genList (n: f (elemAt fst n) (elemAt snd n)) (lib.min (length fst) (length snd));
  zipLists = zipListsWith (fst: snd: { inherit fst snd; });
  naturalSort = sort (a: b: builtins.compareVersions a b < 0);
  sortOn = f: list: map (p: p.value) (sort (a: b: a.by < b.by) (map (value: { by = f value; inherit value; }) list));
  hasPrefixList = prefix: list: take (length prefix) list == prefix;
  commonPrefix =
    a: b:
    let
      n = lib.min (length a) (length b);
      go = i: if i == n || elemAt a i != elemAt b i then i else go (i + 1);
    in
    take (go 0) a;
}
