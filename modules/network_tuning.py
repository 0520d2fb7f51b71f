"""Buffers of the network, worked out from the link that they are for: `network-tuning` for NixOS.

A buffer holds what is under way: bandwidth times round trip.
"""

# ruff: noqa: INP001 - a module of the fleet, which is no package

from clanpy.modules import mk_after, mk_default


MEGABIT = 1_000_000 // 8
BANDWIDTH = 1000 * MEGABIT  # bytes a second
ROUND_TRIP = 0.120  # seconds, between the two ends of the fleet

largest = int(BANDWIDTH * ROUND_TRIP)
sysctl = {
    "net.core.rmem_max": largest,
    "net.core.wmem_max": largest,
    "net.ipv4.tcp_rmem": f"4096 131072 {largest}",
    "net.ipv4.tcp_wmem": f"4096 65536 {largest}",
    "net.ipv4.tcp_congestion_control": "bbr",
    "net.core.default_qdisc": "fq",
}

# Nothing depends on the machine: one aspect for all. What is a default here may be set by any machine.
module = {
    "aspects": {
        "nixos": {
            "network-tuning": {
                "boot": {
                    "kernelModules": mk_after(["tcp_bbr"]),
                    "kernel": {"sysctl": {name: mk_default(value) for name, value in sysctl.items()}},
                }
            }
        }
    }
}
