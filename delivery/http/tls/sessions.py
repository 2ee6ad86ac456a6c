"""Cache of TLS sessions. Resuming a session halves the cost of a handshake for both sides."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import ssl

    from delivery.message.request.url import Endpoint

__all__ = ["SessionCache"]

_MAX_SESSIONS: Final = 1_000
_LIFETIME: Final = 300.0
"""Lifetime of a session in seconds after its full handshake. It is short because a resumed session
does not verify the certificate again."""


class SessionCache:
    """Cache of the last session with each endpoint.

    A session implies that the server's certificate was verified, for one host and one set of TLS
    options. Both are part of the key, so no other endpoint gets the session.
    """

    def __init__(self) -> None:
        self._sessions: OrderedDict[Endpoint, tuple[ssl.SSLContext, ssl.SSLSession, float]] = (
            OrderedDict()
        )

    def get(self, endpoint: Endpoint, context: ssl.SSLContext) -> ssl.SSLSession | None:
        """Return the session to resume with this context, if any."""
        entry = self._sessions.get(endpoint)
        if entry is None:
            return None
        made_with, session, expires_at = entry
        if made_with is not context or expires_at < time.monotonic():
            del self._sessions[endpoint]
            return None
        return session

    def store(self, endpoint: Endpoint, context: ssl.SSLContext, session: ssl.SSLSession) -> None:
        """Store a session that may be resumed, and replace the previous one."""
        self._sessions.pop(endpoint, None)
        self._sessions[endpoint] = (context, session, time.monotonic() + _LIFETIME)
        if len(self._sessions) > _MAX_SESSIONS:
            self._sessions.popitem(last=False)
