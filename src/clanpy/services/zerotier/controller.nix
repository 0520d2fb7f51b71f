{
  instance,
  settings,
  domain,
  machines,
  nodes,
  network,
  ...
}:
{ lib, pkgs, ... }:
let
  file = "clanpy/zerotier/${instance}.json";
in
{
  environment.etc.${file}.text = builtins.toJSON {
    inherit
      domain
      machines
      network
      nodes
      ;
    private = !settings.public;
    mtu = settings.mtu;
  };

  # Tells the controller, over its own interface on this host, what the network is like and who is in it.
  systemd.services."zerotier-members-${instance}" = lib.mkIf (network != null) {
    description = "Admit the machines of the fleet to the network ${network}";
    wantedBy = [ "multi-user.target" ];
    after = [ "zerotierone.service" ];
    requires = [ "zerotierone.service" ];
    restartTriggers = [
      (builtins.toJSON [
        nodes
        settings.public
        settings.mtu
      ])
    ];
    path = [
      pkgs.curl
      pkgs.jq
    ];
    serviceConfig = {
      Restart = "on-failure";
      RestartSec = 5;
    };
    script = ''
      ask() { # PATH: what is to be set comes as JSON
        printf 'X-ZT1-Auth: %s\n' "$(cat /var/lib/zerotier-one/authtoken.secret)" |
          curl --fail --silent --show-error --output /dev/null --header @- --data "$2" \
            "http://127.0.0.1:${toString settings.port}/controller/network/${network}$1"
      }
      settings=/etc/${file}
      ask "" "$(jq -c '{name: .domain, private: .private, mtu: .mtu, v6AssignMode: {rfc4193: true}}' "$settings")"
      for node in $(jq -r '.nodes[]' "$settings"); do
        ask "/member/$node" '{"authorized": true}'
      done
    '';
  };
}
