"""A login in two round trips less: what the host would ask for anyway is sent at once.

- Which ways to log in there are is not asked first: it is tried with a key, if there is one.
- With a key that lies here it is tried by a signature, without asking whether the key is wanted. A key that is held by an agent or a token
  may cost its owner a touch, and is asked about first.

A host that refuses is met as ever. asyncssh has no switches for it; where it is not built as expected here, it is left as it is.
"""

from __future__ import annotations

from typing import Any

from clanpy.ssh.library import asyncssh


_auth: Any = asyncssh.auth  # its types do not tell of what is its own
_packet: Any = asyncssh.packet
_WITH_KEY = b"publickey"
_HANDLERS: Any = getattr(_auth, "_client_auth_handlers", {})
_NEEDED = ("_start", "_send_signed_request", "send_request")


def hasten(conn: asyncssh.SSHClientConnection) -> None:
    """Have the login of a connection that was made this moment take less time."""
    methods = getattr(conn, "_auth_methods", None)
    if methods == [b"none"] and _HANDLERS.get(_WITH_KEY) is _WithKey:
        methods.insert(0, _WITH_KEY)


class _WithKey(_HANDLERS.get(_WITH_KEY, object)):  # type: ignore[misc]  # it is known when it runs
    async def _start(self) -> None:
        self._keypair = key = await self._conn.public_key_auth_requested()
        if key is None:
            self._conn.try_next_auth(next_method=True)
        elif isinstance(key, asyncssh.public_key.SSHLocalKeyPair) and not key.algorithm.startswith(b"sk-"):
            await self._send_signed_request()
        else:
            public = (_packet.String(key.algorithm), _packet.String(key.public_data))
            await self.send_request(_packet.Boolean(value=False), *public)


if all(hasattr(_HANDLERS.get(_WITH_KEY), name) for name in _NEEDED):
    _HANDLERS[_WITH_KEY] = _WithKey
