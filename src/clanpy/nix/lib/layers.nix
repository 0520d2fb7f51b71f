# The five layers of packages as one overlay, first to last: channels, fallbacks, overrides, external overlays, custom packages.
# A later layer sees what the earlier ones made of a package.
#
# A channel is imported when one of its packages is asked for, and not before. A channel with patches is an import from
# derivation then; no other is.
{
  system,
  config ? { },
  # name → { source, patches ? [ ] }: further package sets, which anything may use as `pkgs.channels.<name>`
  channels ? { },
  # package → channel: packages that are taken from another channel on this system
  fallbacks ? { },
  # package → file: { final, prev, channels, lib, ... }: package
  overrides ? { },
  # overlays
  external ? [ ],
  # package → file for callPackage
  custom ? { },
}:
let
  inherit (builtins) foldl' mapAttrs;

  sets = mapAttrs (
    name:
    {
      source,
      patches ? [ ],
    }:
    import (if patches == [ ] then source else patched name source patches) { inherit system config; }
  ) channels;

  patched =
    name: source: patches:
    (import source { inherit system config; }).applyPatches {
      name = "nixpkgs-${name}";
      src = source;
      inherit patches;
    };

  layers = [
    (_: _: { channels = sets; })
    (
      _: _:
      mapAttrs (
        package: channel:
        sets.${channel}.${package} or (throw "${package} is to be taken from the channel ${channel}, which has no such package")
      ) fallbacks
    )
    (
      final: prev:
      mapAttrs (
        _: file:
        import file {
          inherit final prev;
          inherit (prev) lib;
          channels = sets;
        }
      ) overrides
    )
  ]
  ++ external
  ++ [ (final: _: mapAttrs (_: file: final.callPackage file { }) custom) ];
in
final: prev:
foldl' (found: layer: found // layer final (prev // found)) { } layers
