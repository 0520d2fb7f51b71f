{
  settings,
  root_keys,
  key,
  certificate,
  ...
}:
{ lib, ... }:
let
  yesNo = value: if value then "yes" else "no";
  hasCertificate = key != null && certificate != null;
in
{
  # Remote Login of macOS runs Apple's sshd, which reads /etc/ssh/sshd_config.d in order of name: the first word counts.
  services.openssh.enable = true;

  environment.etc = {
    "ssh/sshd_config.d/050-clanpy.conf".text = ''
      PasswordAuthentication ${yesNo settings.password_authentication}
      KbdInteractiveAuthentication ${yesNo settings.password_authentication}
      PermitRootLogin ${settings.permit_root_login}
    ''
    # Keys that are named here stand in for those of macOS, which therefore is named first.
    + lib.optionalString hasCertificate ''
      HostKey /etc/ssh/ssh_host_ed25519_key
      HostKey ${key}
      HostCertificate /etc/ssh/ssh_host_ed25519_key-cert.pub
    '';
  }
  // lib.optionalAttrs hasCertificate { "ssh/ssh_host_ed25519_key-cert.pub".text = certificate; };

  users.users.root.openssh.authorizedKeys.keys = lib.mkIf (root_keys != [ ]) root_keys;
}
