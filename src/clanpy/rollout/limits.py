"""How much is done at once: each kind of work has a limit of its own, taken from the machine clanpy runs on."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass, replace


DESCRIPTORS_A_HOST = 6  # a connection, its bridge with a handful of streams
SPARE_DESCRIPTORS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How many at once.

    Attributes:
        hosts: hosts that are connected and worked on (open files, memory).
        build: builds handed to Nix, which has its own limit of jobs below that (CPU).
        copy: copies to hosts (network, and CPU for the encryption).
        activate: activations (risk).
    """

    hosts: int
    build: int
    copy: int
    activate: int

    @classmethod
    def derived(cls, *, parallel: int | None = None) -> Limits:
        """The limits of this computer; `parallel` (`-j`) bounds how many hosts are worked on, and with that all else."""
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        limits = cls(hosts=min(64, _descriptors()), build=max(2, cpus), copy=max(8, 2 * cpus), activate=32)
        if parallel is None:
            return limits
        return replace(limits, hosts=parallel, activate=min(limits.activate, parallel))


def _descriptors() -> int:
    """How many hosts fit into the open files we may have. The soft limit is raised to the hard one first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else max(soft, 65536)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError):  # macOS refuses what it promised
        wanted = soft
    return max(1, (wanted - SPARE_DESCRIPTORS) // DESCRIPTORS_A_HOST)
