"""Which way store paths go to a host: the cheapest by the link that was measured, and by how much there is to send."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from clanpy.ssh.bridge import BULK_BYTES
from clanpy.ui.format import size


if TYPE_CHECKING:
    from clanpy.ssh.link import Link

SMALL_BYTES = 4 << 20  # less is handed over in the conversation in which it was asked for: no Nix is started for it
PEER_BYTES = 256 << 10  # less is sent from here also where there is a peer: asking two hosts takes longer
FAR_SECONDS = 0.02  # `nix copy` waits for half a dozen answers before its first byte; a stream for none
LONG_SECONDS = 10.0  # what takes longer to send may be quicker to fetch for the host itself


class Lane(StrEnum):
    """A way for store paths to a host."""

    CONVERSATION = "conversation"
    NIX_COPY = "nix-copy"
    STREAM = "stream"
    PROCESS = "process"
    SUBSTITUTE = "substitute"
    PEER = "peer"


@dataclass(frozen=True, slots=True)
class Choice:
    """A lane, and why it is that one."""

    lane: Lane
    reason: str


def choose(link: Link, total: int, *, substitute: bool | None = None, peer: str | None = None) -> Choice:
    """The lane for so many bytes.

    Args:
        link: what is known of the link by now.
        total: bytes that are missing.
        substitute: whether the host fetches by itself what it can; None: where that is quicker.
        peer: the host beside it that has everything first.
    """
    return _detour(link, total, substitute, peer) or _straight(link, total)


def _detour(link: Link, total: int, substitute: bool | None, peer: str | None) -> Choice | None:
    """A lane on which the bytes don't all come from here."""
    if peer is not None and total >= PEER_BYTES:
        return Choice(Lane.PEER, f"{peer} is given {size(total)} once, and passes them on")
    if total < SMALL_BYTES or substitute is False:
        return None
    if substitute:
        return Choice(Lane.SUBSTITUTE, "the inventory says that it fetches what its substituters have")
    if link.rate and total / link.rate >= LONG_SECONDS:
        return Choice(
            Lane.SUBSTITUTE,
            f"{size(total)} would take {total / link.rate:.0f} s at the {size(int(link.rate))}/s that were seen so far",
        )
    return None


def _straight(link: Link, total: int) -> Choice:
    if total < SMALL_BYTES:
        return Choice(
            Lane.CONVERSATION, f"{size(total)} are handed over in the conversation in which they were asked for"
        )
    if total >= BULK_BYTES:
        return Choice(Lane.PROCESS, f"{size(total)} would make everything else late: they get a process of their own")
    if link.round_trip is not None and link.round_trip >= FAR_SECONDS:
        return Choice(
            Lane.STREAM, f"with {link.round_trip * 1000:.0f} ms there and back, one stream that waits for no answer"
        )
    return Choice(Lane.NIX_COPY, f"{size(total)} over a near link")
