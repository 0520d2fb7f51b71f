{
  settings,
  keys,
  password_file,
  host_key,
  rsa_key,
  certificate,
  ...
}:
{ lib, ... }:
let
  hasCertificate = host_key != null && certificate != null;
in
{
  services.openssh = {
    enable = true;
    settings = lib.mkIf hasCertificate { HostCertificate = "/etc/ssh/ssh_host_ed25519_key-cert.pub"; };
    # The first of a kind is the one that is offered plain; the generated one comes with its certificate.
    hostKeys = lib.mkDefault (
      [
        {
          path = "/etc/ssh/ssh_host_ed25519_key";
          type = "ed25519";
        }
      ]
      ++ lib.optional (host_key != null) {
        path = host_key;
        type = "ed25519";
      }
      ++ lib.optional settings.rsa_host_key.enable {
        path = if rsa_key != null then rsa_key else "/etc/ssh/ssh_host_rsa_key";
        type = "rsa";
        bits = 4096;
      }
    );
  };

  environment.etc = lib.mkIf hasCertificate { "ssh/ssh_host_ed25519_key-cert.pub".text = certificate; };

  users.users.root = {
    hashedPasswordFile = password_file;
    openssh.authorizedKeys.keys = keys;
  };
}
