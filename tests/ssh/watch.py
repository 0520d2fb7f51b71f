"""Waiting for what happens outside of this process."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path


async def hear(fifo: Path) -> str:
    return (await asyncio.to_thread(fifo.read_text)).strip()


async def gone(pid: int, seconds: float = 10) -> None:
    """Wait until a process has ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(handle, ended.set)
    try:
        async with asyncio.timeout(seconds):
            await ended.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)
