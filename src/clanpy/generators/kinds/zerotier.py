"""ZeroTier identities: a key pair whose address was paid for with memory and time.

The address is the end of a digest of the public key that takes 2 MiB of memory to compute, and only keys whose digest begins
with a small byte count. About fifteen keys have to be tried, each a third of a second here: all of the stream cipher that
the digest is made of depends on nothing but a counter, so it is computed for many blocks at once, in the lanes of very long
integers.
"""

from __future__ import annotations

import re
import secrets
import sys
from array import array
from hashlib import sha512
from itertools import accumulate
from operator import xor
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from clanpy.generators.errors import GeneratorFailedError
from clanpy.secrets import Secret


if TYPE_CHECKING:
    from collections.abc import Sequence

    from clanpy.generators.inputs import Inputs, Outputs
    from clanpy.services.generator import ZeroTierIdentity, ZeroTierNetwork

_MEMORY_WORDS = 2 * 1024 * 1024 // 8
_BLOCK_WORDS = 8
_FILL_BLOCKS = _MEMORY_WORDS // _BLOCK_WORDS
_MIX_BLOCKS = _MEMORY_WORDS // 2
_FIRST_BYTE_BELOW = 17
_RESERVED_FIRST_BYTE = 0xFF
_ADDRESS_BYTES = 5
_NETWORK_BYTES = 3

_LANES = 8192
_LANE_MASK = int.from_bytes(b"\xff\xff\xff\xff\0\0\0\0" * _LANES, "little")
_ONES = int.from_bytes(b"\1\0\0\0\0\0\0\0" * _LANES, "little")
_CONSTANTS = (0x61707865, 0x3320646E, 0x79622D32, 0x6B206574)
_ROTATIONS = (7, 9, 13, 18)
_COLUMNS = ((0, 4, 8, 12), (5, 9, 13, 1), (10, 14, 2, 6), (15, 3, 7, 11))
_ROWS = ((0, 1, 2, 3), (5, 6, 7, 4), (10, 11, 8, 9), (15, 12, 13, 14))


def identity(kind: ZeroTierIdentity, inputs: Inputs) -> Outputs:
    while True:
        agreement, signing = X25519PrivateKey.generate(), Ed25519PrivateKey.generate()
        public = agreement.public_key().public_bytes_raw() + signing.public_key().public_bytes_raw()
        address = address_of(public)
        if address is not None:
            break
    private = agreement.private_bytes_raw() + signing.private_bytes_raw()
    shown = f"{address}:0:{public.hex()}"
    return {
        kind.file: Secret(f"{shown}:{private.hex()}"),
        kind.public_file: Secret(shown),
        kind.address_file: Secret(address),
    }


def network(kind: ZeroTierNetwork, inputs: Inputs) -> Outputs:
    address = inputs.need(kind.controller, kind.address_file).reveal().decode("ascii", "replace").strip()
    if not re.fullmatch(r"[0-9a-f]{10}", address):
        raise GeneratorFailedError(
            f"{inputs.name}: {kind.address_file!r} of {kind.controller!r} is no address of ZeroTier"
        )
    return {kind.file: Secret(address + secrets.token_hex(_NETWORK_BYTES))}


def address_of(public: bytes) -> str | None:
    """The address that belongs to a public key (64 bytes); None when the key was not paid for."""
    digest = _digest(public)
    address = digest[-_ADDRESS_BYTES:]
    if digest[0] >= _FIRST_BYTE_BELOW or address[0] == _RESERVED_FIRST_BYTE or not any(address):
        return None
    return address.hex()


def _digest(public: bytes) -> bytes:
    start = sha512(public).digest()
    stream = _salsa20(start[:32], start[32:40], _FILL_BLOCKS + _MIX_BLOCKS)
    memory = [0] * _MEMORY_WORDS
    for column, words in enumerate(stream):
        memory[column::_BLOCK_WORDS] = accumulate(words[:_FILL_BLOCKS], xor)
    # The stream that was mixed into the digest up to a step is added to a word only when that word is used.
    mixed = [[0, *accumulate(words[_FILL_BLOCKS:], xor)] for words in stream]
    digest = _words(start).tolist()
    for step in range(_MIX_BLOCKS):
        which = memory[2 * step] & 7
        where = memory[2 * step + 1] & (_MEMORY_WORDS - 1)
        added = mixed[which][step]
        memory[where], digest[which] = digest[which] ^ added, memory[where] ^ added
    return b"".join((word ^ mixed[n][-1]).to_bytes(8, "big") for n, word in enumerate(digest))


def _words(data: bytes) -> array[int]:
    """Bytes as 64-bit numbers in network order, which is how the digest reads its memory."""
    words = array("Q", data)
    if sys.byteorder == "little":
        words.byteswap()
    return words


def _salsa20(key: bytes, nonce: bytes, blocks: int) -> Sequence[array[int]]:
    """The key stream of Salsa20/20: for each of the eight 64-bit words of a block, that word of all blocks."""
    columns = tuple(array("Q") for _ in range(_BLOCK_WORDS))
    counters = int.from_bytes(b"".join(n.to_bytes(8, "little") for n in range(_LANES)), "little")
    for first in range(0, blocks, _LANES):
        for column, words in zip(columns, _lanes(key, nonce, counters + first * _ONES), strict=True):
            column.extend(_words(words))
    return columns


def _lanes(key: bytes, nonce: bytes, counters: int) -> list[bytes]:
    """The key stream for as many counters as there are lanes: a number has 64 bits, of which words use the lower half."""
    k = [int.from_bytes(key[n : n + 4], "little") * _ONES for n in range(0, 32, 4)]
    n0, n1 = (int.from_bytes(nonce[n : n + 4], "little") * _ONES for n in (0, 4))
    c0, c1, c2, c3 = (constant * _ONES for constant in _CONSTANTS)
    start = [c0, *k[:4], c1, n0, n1, counters, 0, c2, *k[4:], c3]
    state = start.copy()
    for _ in range(10):
        for four in (*_COLUMNS, *_ROWS):
            _quarter_round(state, *four)
    total = [(a + b) & _LANE_MASK for a, b in zip(state, start, strict=True)]
    return [(total[n] | total[n + 1] << 32).to_bytes(8 * _LANES, "little") for n in range(0, 16, 2)]


def _quarter_round(state: list[int], a: int, b: int, c: int, d: int) -> None:
    ring = (a, b, c, d)
    for turn, rotation in enumerate(_ROTATIONS):
        first, second, target = ring[turn % 4], ring[(turn + 3) % 4], ring[(turn + 1) % 4]
        total = (state[first] + state[second]) & _LANE_MASK
        state[target] ^= ((total << rotation) | (total >> (32 - rotation))) & _LANE_MASK
