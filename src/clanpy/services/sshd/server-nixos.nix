{
  settings,
  root_keys,
  key,
  rsa_key,
  public_key,
  certificate,
  names,
  ...
}:
{ lib, ... }:
let
  own = {
    path = "/etc/ssh/ssh_host_ed25519_key";
    type = "ed25519";
  };
  generated = lib.optional (key != null) {
    path = key;
    type = "ed25519";
  };
  rsa = lib.optional settings.host_keys.rsa.enable {
    path = if rsa_key != null then rsa_key else "/etc/ssh/ssh_host_rsa_key";
    type = "rsa";
    bits = 4096;
  };
  hasCertificate = key != null && certificate != null;
in
{
  services.openssh = {
    enable = true;
    ports = [ settings.port ];
    openFirewall = settings.open_firewall;
    settings = {
      PasswordAuthentication = settings.password_authentication;
      KbdInteractiveAuthentication = settings.password_authentication;
      PermitRootLogin = settings.permit_root_login;
    }
    // lib.optionalAttrs hasCertificate { HostCertificate = "/etc/ssh/ssh_host_ed25519_key-cert.pub"; };
    # Of several keys of a kind the first is the one that is offered plain; the others only with a certificate of their own.
    hostKeys = (if settings.host_keys.replace && key != null then generated else [ own ] ++ generated) ++ rsa;
  };

  environment.etc = lib.mkIf hasCertificate { "ssh/ssh_host_ed25519_key-cert.pub".text = certificate; };

  programs.ssh.knownHosts = lib.mkIf (settings.host_keys.replace && public_key != null) {
    "clanpy-self" = {
      hostNames = [ "localhost" ] ++ names;
      publicKey = public_key;
    };
  };

  users.users.root.openssh.authorizedKeys.keys = root_keys;
}
