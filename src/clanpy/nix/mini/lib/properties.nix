# Priorities, conditions and order: values wrapped by a module's author, taken apart by the evaluator.
{ lib }:
rec {
  mkIf = condition: content: {
    _type = "if";
    inherit condition content;
  };
  mkAssert =
    assertion: message: content:
    mkIf (if assertion then true else throw "\nFailed assertion: ${message}") content;
  mkMerge = contents: {
    _type = "merge";
    inherit contents;
  };
  mkOverride = priority: content: {
    _type = "override";
    inherit priority content;
  };
  mkVMOverride = mkOverride 10;
  mkForce = mkOverride 50;
  mkImageMediaOverride = mkOverride 60;
  mkDefault = mkOverride defaultOverridePriority';
  mkOptionDefault = mkOverride 1500;
  mkFixStrictness = x: x;
  mkOrder = priority: content: {
    _type = "order";
    inherit priority content;
  };
  mkBefore = mkOrder 500;
  mkAfter = mkOrder 1500;
  defaultOverridePriority = 100;
  defaultOverridePriority' = 1000;
  defaultOrderPriority = 1000;

  typeOf' = v: if builtins.isAttrs v then v._type or null else null;
  isType = type: v: typeOf' v == type;
  setType = type: v: v // { _type = type; };

  # What a wrapped attribute set says about its attributes: wrappers move inward, conditions stay unevaluated.
  pushDown =
    v:
    let
      kind = typeOf' v;
      under = wrap: map (builtins.mapAttrs (_: wrap)) (pushDown v.content);
    in
    if kind == "merge" then
      builtins.concatMap pushDown v.contents
    else if kind == "if" then
      under (mkIf v.condition)
    else if kind == "override" then
      under (mkOverride v.priority)
    else
      [ v ];

  # The plain values behind conditions and merges; those under a false condition are gone.
  discharge =
    v:
    let
      kind = typeOf' v;
    in
    if kind == "merge" then
      builtins.concatMap discharge v.contents
    else if kind == "if" then
      if !(builtins.isBool v.condition) then
        throw "‘mkIf’ called with a non-Boolean condition"
      else if v.condition then
        discharge v.content
      else
        [ ]
    else
      [ v ];

  # Definitions are `{ file, value }`. Only those of the strongest priority stay, in mkOrder's order.
  filterOverrides = defs: (filterOverrides' defs).values;
  filterOverrides' =
    defs:
    let
      priorityOf = def: if isType "override" def.value then def.value.priority else defaultOverridePriority;
      strongest = builtins.foldl' (p: def: lib.min p (priorityOf def)) 9999 defs;
      unwrap = def: if isType "override" def.value then def // { value = def.value.content; } else def;
    in
    {
      values = map unwrap (builtins.filter (def: priorityOf def == strongest) defs);
      highestPrio = strongest;
    };
  sortProperties =
    defs:
    let
      unwrap =
        def:
        if isType "order" def.value then
          def
          // {
            value = def.value.content;
            inherit (def.value) priority;
          }
        else
          def;
      orderOf = def: def.priority or defaultOrderPriority;
    in
    if builtins.any (def: isType "order" def.value) defs then
      builtins.sort (a: b: orderOf a < orderOf b) (map unwrap defs)
    else
      defs;
  effective =
    defs:
    sortProperties (
      filterOverrides (
        builtins.concatMap (def: map (value: def // { inherit value; }) (discharge def.value)) defs
      )
    );
  mkAliasDefinitions = mkAliasAndWrapDefinitions lib.id;
  mkAliasAndWrapDefinitions = wrap: option: mkIf (option.isDefined or false) (wrap (mkMerge option.definitions));
}
