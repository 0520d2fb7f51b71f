"""Keys of overlay networks whose addresses follow from the key: onion services of tor, Yggdrasil, Mycelium."""

from __future__ import annotations

from base64 import b32encode
from hashlib import sha3_256, sha512
from ipaddress import IPv6Address
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from clanpy.generators.kinds.blake3 import blake3_of_block
from clanpy.secrets import Secret


if TYPE_CHECKING:
    from clanpy.generators.inputs import Inputs, Outputs
    from clanpy.services.generator import MyceliumKey, TorOnion, YggdrasilKey

_TOR_HEADER = b"== ed25519v1-secret: type0 ==\0\0\0"
_TOR_VERSION = b"\3"
_YGGDRASIL_PREFIX = 0x02
_ADDRESS_BYTES = 16
_KEY_BITS = 256


def tor_onion(kind: TorOnion, inputs: Inputs) -> Outputs:
    key = Ed25519PrivateKey.generate()
    hostname = onion_of(key.public_key().public_bytes_raw())
    return {
        kind.file: Secret(_TOR_HEADER + _expanded(key.private_bytes_raw())),
        kind.hostname_file: Secret(hostname),
    }


def onion_of(public: bytes) -> str:
    """The name of the onion service with a public key (32 bytes), as tor's rend-spec-v3 defines it."""
    checksum = sha3_256(b".onion checksum" + public + _TOR_VERSION).digest()[:2]
    return f"{b32encode(public + checksum + _TOR_VERSION).decode().lower()}.onion"


def _expanded(seed: bytes) -> bytes:
    """The scalar and the prefix that an ed25519 seed stands for: tor keeps these, not the seed."""
    digest = bytearray(sha512(seed).digest())
    digest[0] &= 248
    digest[31] = (digest[31] & 63) | 64
    return bytes(digest)


def yggdrasil_key(kind: YggdrasilKey, inputs: Inputs) -> Outputs:
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    return {
        kind.file: Secret(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())),
        kind.public_file: Secret(public.hex()),
        kind.address_file: Secret(str(yggdrasil_address(public))),
    }


def yggdrasil_address(public: bytes) -> IPv6Address:
    """The address of a node: how many ones the inverted key begins with, and the bits after the zero that ends them."""
    bits = f"{int.from_bytes(public, 'big') ^ (2**_KEY_BITS - 1):0{_KEY_BITS}b}"
    ones = len(bits) - len(bits.lstrip("1"))
    rest = int(bits[ones + 1 :].ljust(_KEY_BITS, "0"), 2).to_bytes(_KEY_BITS // 8, "big")
    return IPv6Address(bytes([_YGGDRASIL_PREFIX, ones & 0xFF]) + rest[: _ADDRESS_BYTES - 2])


def mycelium_key(kind: MyceliumKey, inputs: Inputs) -> Outputs:
    key = X25519PrivateKey.generate()
    public = key.public_key().public_bytes_raw()
    return {
        kind.file: Secret(key.private_bytes_raw()),
        kind.public_file: Secret(public.hex()),
        kind.address_file: Secret(str(mycelium_address(public))),
    }


def mycelium_address(public: bytes) -> IPv6Address:
    """The address of a node in 400::/7: the beginning of its key's digest, whose first byte gives way to the range."""
    digest = blake3_of_block(public)[:_ADDRESS_BYTES]
    return IPv6Address(bytes([0x04 | (digest[0].bit_count() & 1)]) + digest[1:])
