{ settings, ... }:
{ lib, ... }:
let
  yesNo = value: if value then "yes" else "no";
in
{
  # Remote Login of macOS runs Apple's sshd, which reads /etc/ssh/sshd_config.d in order of name: the first word counts.
  services.openssh.enable = true;

  environment.etc."ssh/sshd_config.d/050-clanpy.conf".text = ''
    PasswordAuthentication ${yesNo settings.password_authentication}
    KbdInteractiveAuthentication ${yesNo settings.password_authentication}
    PermitRootLogin ${settings.permit_root_login}
  '';
}
