{ settings, ... }:
{ lib, ... }:
{
  services.openssh = {
    enable = true;
    ports = [ settings.port ];
    openFirewall = settings.open_firewall;
    settings = {
      PasswordAuthentication = settings.password_authentication;
      KbdInteractiveAuthentication = settings.password_authentication;
      PermitRootLogin = settings.permit_root_login;
    };
    hostKeys = [
      {
        path = "/etc/ssh/ssh_host_ed25519_key";
        type = "ed25519";
      }
    ]
    ++ lib.optional settings.host_keys.rsa.enable {
      path = "/etc/ssh/ssh_host_rsa_key";
      type = "rsa";
      bits = 4096;
    };
  };

  users.users.root.openssh.authorizedKeys.keys = settings.authorized_keys;
}
