{ wanted, ... }:
{ lib, ... }:
let
  environment = "/run/clanpy-wifi/networks";
  profile = network: {
    connection = {
      id = network.id;
      type = "wifi";
      autoconnect = network.autoConnect;
    };
    wifi = {
      mode = "infrastructure";
      ssid = "$" + network.nameVariable;
      hidden = network.hidden;
    };
    ipv4.method = "auto";
    ipv6 = {
      method = "auto";
      addr-gen-mode = "stable-privacy";
    };
  }
  // lib.optionalAttrs (network.keyMgmt != null) {
    wifi-security = {
      key-mgmt = network.keyMgmt;
      psk = "$" + network.passwordVariable;
    };
  };
  # a value may hold any character but a line feed
  line = variable: file: ''
    if [ -s ${file} ]; then
      printf '${variable}="%s"\n' "$(head -n 1 ${file} | sed 's/[\\"$`]/\\&/g')"
    else
      echo "${file} is not there yet" >&2
    fi
  '';
in
{
  networking.networkmanager = {
    enable = true;
    ensureProfiles = {
      environmentFiles = [ environment ];
      profiles = lib.listToAttrs (map (network: lib.nameValuePair network.id (profile network)) wanted);
    };
  };

  # Names and passwords are files of their own on the host; NetworkManager's profiles take them as variables from one.
  systemd.services.clanpy-wifi = {
    description = "Put together the names and passwords of wireless networks";
    wantedBy = [ "multi-user.target" ];
    requiredBy = [ "NetworkManager-ensure-profiles.service" ];
    before = [ "NetworkManager-ensure-profiles.service" ];
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
    };
    script = ''
      umask 077
      mkdir -p /run/clanpy-wifi
      {
    ''
    + lib.concatMapStrings (
      network:
      line network.nameVariable network.nameFile
      + lib.optionalString (network.passwordFile != null) (line network.passwordVariable network.passwordFile)
    ) wanted
    + ''
      :
      } > ${environment}.new
      mv ${environment}.new ${environment}
    '';
  };
}
