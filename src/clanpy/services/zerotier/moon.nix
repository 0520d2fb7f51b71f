{ instance, endpoints, ... }:
{ pkgs, ... }:
let
  home = "/var/lib/zerotier-one";
  file = "clanpy/zerotier/moon-${instance}.json";
in
{
  environment.etc.${file}.text = builtins.toJSON endpoints;

  # A moon is signed with keys of its own, which are made once; where it is reached may change.
  systemd.services.zerotierone = {
    path = [
      pkgs.jq
      pkgs.zerotierone
    ];
    preStart = ''
      cd ${home}
      [ -s identity.public ] || zerotier-idtool generate identity.secret identity.public
      [ -s moon.json ] || zerotier-idtool initmoon identity.public > moon.json
      jq --slurpfile where /etc/${file} '.roots[0].stableEndpoints = $where[0]' moon.json > moon.json.new
      mv moon.json.new moon.json
      mkdir -p moons.d
      zerotier-idtool genmoon moon.json
      mv -- *.moon moons.d/
    '';
  };
}
