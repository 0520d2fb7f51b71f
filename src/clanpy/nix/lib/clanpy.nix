# What the modules of a machine get as `clanpy`: facts about the machine, and what was generated for it (`vars`) and for others (`varsOf`).
let
  about = builtins.fromJSON (builtins.readFile ./clanpy.json);

  file =
    machine: generator: name: found:
    let
      say = what: throw "clanpy: vars.${generator}.${name} of ${machine} ${what}";
    in
    {
      inherit (found) secret;
      path =
        if found.path != null then found.path else say "is not deployed to the machine: it has no path there";
      value =
        if found.secret then
          say "is a secret: its value can't be used in a configuration, which lies in the Nix store for all to read; use its path"
        else if found.value == null then
          say "is not generated yet: run `clanpy vars generate ${machine}`"
        else
          found.value;
    };
  values = machine: builtins.mapAttrs (generator: builtins.mapAttrs (file machine generator));
in
builtins.removeAttrs about [ "others" ]
// {
  vars = values about.machine.name about.vars;
  "varsOf" = builtins.mapAttrs values about.others;
}
