# Whether channels have packages: for each question `true`, or the names that there are instead. A channel is imported once a system.
{
  inputs,
  config,
  # [ { input, system, package } ]
  questions,
}:
let
  inherit (builtins) attrNames tryEval;

  sets = builtins.mapAttrs (
    _: input:
    builtins.listToAttrs (
      map (system: {
        name = system;
        value = import input { inherit system config; };
      }) (map (question: question.system) questions)
    )
  ) inputs;

  # The name of a package that was removed is often kept, and throws.
  has = set: package: (tryEval (set ? ${package} && builtins.seq set.${package} true)).value;
  names = set: builtins.filter (name: builtins.match "[a-zA-Z_].*" name != null) (attrNames set);
in
map (
  question:
  let
    set = sets.${question.input}.${question.system};
  in
  if has set question.package then true else names set
) questions
