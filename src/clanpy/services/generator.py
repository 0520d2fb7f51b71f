"""Generators as services, aspects, machines and the fleet declare them: what is generated, how, and where it goes.

Declarations only. `clanpy.vars` checks them (`clanpy.services.generator_problems`) and runs them. A generator has one way of making its
values: a built-in `kind`, a `script` (bash) or a `python` function; with none of them its prompts are its values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal

from clanpy.errors import Place


Phase = Literal["partitioning", "activation", "users", "services"]
PromptType = Literal["hidden", "line", "multiline", "multiline-hidden"]
PHASES: tuple[Phase, ...] = ("partitioning", "activation", "users", "services")
PROMPT_TYPES: tuple[PromptType, ...] = ("hidden", "line", "multiline", "multiline-hidden")


@dataclass(frozen=True, slots=True, kw_only=True)
class VarFile:
    """One file that a generator makes.

    Attributes:
        secret: encrypted in the fleet, and readable only to its owner on the host; otherwise public.
        deploy: whether machines get it at all. False: only people can read it.
        owner: account on the host.
        group: None means `root`, on darwin `wheel`.
        mode: four octal digits.
        needed_for: how early the host needs it.
        restart_units: systemd units to restart when it changed (not on darwin).
    """

    secret: bool = True
    deploy: bool = True
    owner: str = "root"
    group: str | None = None
    mode: str = "0400"
    needed_for: Phase = "services"
    restart_units: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PromptDisplay:
    """How a prompt is shown: `group` puts prompts together, `label` stands for the name."""

    group: str | None = None
    label: str | None = None
    required: bool = True
    helper_text: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A question. With `persist` the answer is a file of the same name."""

    type: PromptType = "line"
    description: str | None = None
    persist: bool = False
    display: PromptDisplay = field(default_factory=PromptDisplay)


SECRET = VarFile()
PUBLIC = VarFile(secret=False, mode="0444")
UNDEPLOYED = VarFile(deploy=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SshKey:
    """An ssh key pair: `file` and `file`.pub. An ssh certificate authority is one of these."""

    algorithm: Literal["ed25519", "rsa"] = "ed25519"
    bits: int = 4096
    comment: str = ""
    file: str | None = None

    @property
    def private(self) -> str:
        return self.file or f"ssh.id_{self.algorithm}"

    def files(self) -> Mapping[str, VarFile]:
        return {self.private: SECRET, f"{self.private}.pub": PUBLIC}

    def dependencies(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SshCertificate:
    """A certificate for the public key of another generator, signed by an ssh authority.

    `authority` and `key` are generators, `authority_file` the private key of the first, `key_file` the public key of the
    second. `days` None means that it is valid for ever.
    """

    authority: str
    key: str
    principals: tuple[str, ...]
    type: Literal["host", "user"] = "host"
    days: int | None = None
    authority_file: str = "id_ed25519"
    key_file: str = "ssh.id_ed25519.pub"
    file: str = "ssh.id_ed25519-cert.pub"

    def files(self) -> Mapping[str, VarFile]:
        return {self.file: PUBLIC}

    def dependencies(self) -> tuple[str, ...]:
        return (self.authority, self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Password:
    """A password that is not deployed and its hash that is. The password is asked for when `prompt` names a prompt.

    `hash` "auto" is yescrypt where this computer has it and sha512 otherwise. An empty answer means: make one up.
    """

    hash: Literal["auto", "yescrypt", "sha512"] = "auto"
    prompt: str | None = None
    words: int = 4
    file: str = "password"
    hash_file: str = "password-hash"

    def files(self) -> Mapping[str, VarFile]:
        return {self.file: UNDEPLOYED, self.hash_file: VarFile(needed_for="users")}

    def dependencies(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Passphrase:
    """Pronounceable words, 16 bits of chance each."""

    words: int = 6
    separator: str = "-"
    file: str = "passphrase"

    def files(self) -> Mapping[str, VarFile]:
        return {self.file: SECRET}

    def dependencies(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """Random bytes as text; for "alphanumeric", `size` counts characters, otherwise bytes."""

    encoding: Literal["hex", "base64", "alphanumeric"] = "hex"
    size: int = 32
    file: str = "token"

    def files(self) -> Mapping[str, VarFile]:
        return {self.file: SECRET}

    def dependencies(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class AgeKey:
    """An age key pair."""

    file: str = "age-key"
    public_file: str = "age-key.pub"

    def files(self) -> Mapping[str, VarFile]:
        return {self.file: SECRET, self.public_file: PUBLIC}

    def dependencies(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WireGuardKey:
    """A WireGuard key pair."""

    file: str = "privatekey"
    public_file: str = "publickey"

    def files(self) -> Mapping[str, VarFile]:
        return {self.file: SECRET, self.public_file: PUBLIC}

    def dependencies(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class X509Authority:
    """A certificate authority that signs itself."""

    common_name: str
    days: int = 3650
    file: str = "ca.key"
    certificate_file: str = "ca.crt"

    def files(self) -> Mapping[str, VarFile]:
        return {self.file: UNDEPLOYED, self.certificate_file: PUBLIC}

    def dependencies(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class X509Certificate:
    """A key with a certificate for names (DNS or IP), signed by the authority that the generator `authority` made."""

    authority: str
    names: tuple[str, ...]
    days: int = 365
    authority_file: str = "ca.key"
    authority_certificate_file: str = "ca.crt"
    file: str = "tls.key"
    certificate_file: str = "tls.crt"

    def files(self) -> Mapping[str, VarFile]:
        return {self.file: SECRET, self.certificate_file: PUBLIC}

    def dependencies(self) -> tuple[str, ...]:
        return (self.authority,)


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroTierIdentity:
    """A ZeroTier identity: the secret one, the public one, and the address (ten hex digits)."""

    file: str = "zerotier-identity-secret"
    public_file: str = "zerotier-identity"
    address_file: str = "zerotier-address"

    def files(self) -> Mapping[str, VarFile]:
        return {self.file: SECRET, self.public_file: PUBLIC, self.address_file: PUBLIC}

    def dependencies(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroTierNetwork:
    """The number of a ZeroTier network: the address of its controller, whose identity `controller` made, and six digits more."""

    controller: str
    address_file: str = "zerotier-address"
    file: str = "zerotier-network-id"

    def files(self) -> Mapping[str, VarFile]:
        return {self.file: PUBLIC}

    def dependencies(self) -> tuple[str, ...]:
        return (self.controller,)


@dataclass(frozen=True, slots=True, kw_only=True)
class TorOnion:
    """The key of an onion service (version 3), as tor keeps it, and its name."""

    file: str = "hs_ed25519_secret_key"
    hostname_file: str = "hostname"

    def files(self) -> Mapping[str, VarFile]:
        return {self.file: SECRET, self.hostname_file: PUBLIC}

    def dependencies(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class YggdrasilKey:
    """A key of Yggdrasil (PEM), its public half (hex), and the address that follows from it."""

    file: str = "privateKey"
    public_file: str = "publicKey"
    address_file: str = "address"

    def files(self) -> Mapping[str, VarFile]:
        return {self.file: SECRET, self.public_file: PUBLIC, self.address_file: PUBLIC}

    def dependencies(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MyceliumKey:
    """A key of Mycelium (32 bytes), its public half (hex), and the address that follows from it."""

    file: str = "key"
    public_file: str = "pubkey"
    address_file: str = "ip"

    def files(self) -> Mapping[str, VarFile]:
        return {self.file: SECRET, self.public_file: PUBLIC, self.address_file: PUBLIC}

    def dependencies(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncthingIdentity:
    """What makes a device of Syncthing: its key and certificate, and the id that others know it by."""

    file: str = "key"
    certificate_file: str = "cert"
    id_file: str = "id"

    def files(self) -> Mapping[str, VarFile]:
        return {self.file: SECRET, self.certificate_file: SECRET, self.id_file: PUBLIC}

    def dependencies(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BorgKeys:
    """What a client of borg needs: a key for ssh to its servers, and the key of its repositories."""

    file: str = "borgbackup.ssh"
    repository_file: str = "borgbackup.repokey"

    def files(self) -> Mapping[str, VarFile]:
        return {self.file: SECRET, f"{self.file}.pub": PUBLIC, self.repository_file: SECRET}

    def dependencies(self) -> tuple[str, ...]:
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicAuth:
    """A password for programs, and the line of an htpasswd file that lets `user` in with it."""

    user: str
    file: str = "password"
    htpasswd_file: str = "htpasswd"

    def files(self) -> Mapping[str, VarFile]:
        return {self.file: SECRET, self.htpasswd_file: SECRET}

    def dependencies(self) -> tuple[str, ...]:
        return ()


Kind = (
    SshKey
    | SshCertificate
    | Password
    | Passphrase
    | Token
    | AgeKey
    | WireGuardKey
    | X509Authority
    | X509Certificate
    | ZeroTierIdentity
    | ZeroTierNetwork
    | TorOnion
    | YggdrasilKey
    | MyceliumKey
    | SyncthingIdentity
    | BorgKeys
    | BasicAuth
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator:
    """How some values are made, as one machine sees it.

    Attributes:
        name: unique on the machine.
        share: one set of values for all machines that declare it; then it is the same on all of them.
        dependencies: generators whose values it needs (those of its kind need not be named).
        validation: any value without lists; when it changes, the values are made again.
        kind: a built-in way of making values.
        script: bash; it finds `$in/<dependency>/<file>` and `$prompts/<prompt>` and writes exactly its files to `$out`.
        python: `module:function`, called with a `clanpy.vars.Inputs`; it returns the files' contents by name.
        prompts: what is asked first.
        files: the files it makes; those of its kind and of persistent prompts need to be named only to change them.
        runtime_inputs: packages whose programs the script needs.
        expires: how long values are good for (a certificate's own end counts too).
        renew_before: how long before that they are made again; a tenth of their life when it is not said.
        origin: for people: who declares it (`service sshd, instance default`).
        place: where that is written.
    """

    name: str
    share: bool = False
    dependencies: tuple[str, ...] = ()
    validation: Any = None
    kind: Kind | None = None
    script: str | None = None
    python: str | None = None
    prompts: Mapping[str, Prompt] = field(default_factory=dict)
    files: Mapping[str, VarFile] = field(default_factory=dict)
    runtime_inputs: tuple[str, ...] = ()
    expires: timedelta | None = None
    renew_before: timedelta | None = None
    origin: str = ""
    place: Place | None = None

    def outputs(self) -> Mapping[str, VarFile]:
        """Every file it makes, sorted by name: of its kind, of its persistent prompts, and as declared."""
        asked = {name: SECRET for name, prompt in self.prompts.items() if prompt.persist}
        kind = self.kind.files() if self.kind else {}
        return dict(sorted({**asked, **kind, **self.files}.items()))

    def needs(self) -> tuple[str, ...]:
        """The generators that it needs, sorted."""
        kind = self.kind.dependencies() if self.kind else ()
        return tuple(sorted({*self.dependencies, *kind}))


# Where clan has them; what is needed before there is memory lies on the disk.
_PLACES: Mapping[Phase, str] = {
    "services": "/run/secrets/vars",
    "users": "/run/secrets-for-users/vars",
    "activation": "/var/lib/sops-nix/activation",
    "partitioning": "/var/lib/sops-nix/partitioning",
}
PUBLIC_FOLDER = "clanpy/vars"  # below /etc


def path_on_host(generator: str, file: str, declared: VarFile) -> str:
    """Where a file of a generator is on the hosts that get it. `declared` says whether it is secret, and how early it is needed there."""
    folder = _PLACES[declared.needed_for] if declared.secret else f"/etc/{PUBLIC_FOLDER}"
    return f"{folder}/{generator}/{file}"
