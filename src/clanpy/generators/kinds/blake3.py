"""BLAKE3 of up to 64 bytes, which is one round of its compression; the libraries here do not have it."""

from __future__ import annotations

import struct


_START = (
    0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19,
)  # fmt: skip
_ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
_LINES = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15), (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))  # fmt: skip
_ROUNDS = 7
_BLOCK_BYTES = 64
_CHUNK_START, _CHUNK_END, _ROOT = 1, 2, 8
_MASK = 0xFFFFFFFF


def blake3_of_block(data: bytes) -> bytes:
    """The digest (32 bytes) of at most 64 bytes.

    Raises:
        ValueError: it is more than that.
    """
    if len(data) > _BLOCK_BYTES:
        raise ValueError(f"{len(data)} bytes are more than one block")
    words = list(struct.unpack("<16I", data.ljust(_BLOCK_BYTES, b"\0")))
    state = [*_START, *_START[:4], 0, 0, len(data), _CHUNK_START | _CHUNK_END | _ROOT]
    for _ in range(_ROUNDS):
        for n, line in enumerate(_LINES):
            _mix(state, line, words[2 * n], words[2 * n + 1])
        words = [words[n] for n in _ORDER]
    return struct.pack("<8I", *(state[n] ^ state[n + 8] for n in range(8)))


def _mix(state: list[int], line: tuple[int, int, int, int], first: int, second: int) -> None:
    a, b, c, d = line
    for word, (far, near) in ((first, (16, 12)), (second, (8, 7))):
        state[a] = (state[a] + state[b] + word) & _MASK
        state[d] = _turned(state[d] ^ state[a], far)
        state[c] = (state[c] + state[d]) & _MASK
        state[b] = _turned(state[b] ^ state[c], near)


def _turned(word: int, by: int) -> int:
    return (word >> by | word << (32 - by)) & _MASK
