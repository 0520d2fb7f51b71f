"""The built-in kinds of generators: what most fleets need, without a script and without a program.

Values of one line (tokens, keys of WireGuard, passwords) end without a line feed, files of keys and certificates with one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clanpy.generators.kinds import certificates, keys, overlays, syncthing, words, zerotier
from clanpy.services import generator as declared


if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from clanpy.generators.inputs import Inputs, Outputs
    from clanpy.services.generator import Kind

_MAKERS: dict[type, Callable[[Any, Inputs], Outputs]] = {
    declared.SshKey: keys.ssh_key,
    declared.AgeKey: keys.age_key,
    declared.WireGuardKey: keys.wireguard_key,
    declared.Token: words.token,
    declared.Passphrase: words.passphrase,
    declared.Password: words.password,
    declared.SshCertificate: certificates.ssh_certificate,
    declared.X509Authority: certificates.authority,
    declared.X509Certificate: certificates.certificate,
    declared.ZeroTierIdentity: zerotier.identity,
    declared.ZeroTierNetwork: zerotier.network,
    declared.TorOnion: overlays.tor_onion,
    declared.YggdrasilKey: overlays.yggdrasil_key,
    declared.MyceliumKey: overlays.mycelium_key,
    declared.SyncthingIdentity: syncthing.identity,
    declared.BorgKeys: keys.borg_keys,
    declared.BasicAuth: words.basic_auth,
}


def make(kind: Kind, inputs: Inputs) -> Outputs:
    """Make the values of a built-in kind.

    Raises:
        GeneratorFailedError: what it was given is not what it needs.
        ToolMissingError: this computer lacks something that the kind was told to use.
    """
    return _MAKERS[type(kind)](kind, inputs)
