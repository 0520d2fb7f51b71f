{
  settings,
  domain,
  authority,
  ...
}:
{ lib, ... }:
let
  domains = lib.unique ([ domain ] ++ settings.certificate.search_domains);
in
{
  programs.ssh.knownHosts =
    lib.mapAttrs (names: key: {
      hostNames = lib.splitString "," names;
      publicKey = key;
    }) settings.known_hosts
    // lib.optionalAttrs (authority != null) {
      "clanpy-authority" = {
        certAuthority = true;
        hostNames = map (name: "*.${name}") domains;
        publicKey = authority;
      };
    };
}
