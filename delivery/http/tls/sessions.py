"""TLS sessions to be resumed: a handshake that resumes one costs half, for both sides."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import ssl

    from delivery.message.request.url import Endpoint

__all__ = ["SessionCache"]

_MOST: Final = 1_000
_LONGEST: Final = 300.0
"""Seconds after the last whole handshake. A certificate is not looked at again when a session is
resumed, so not for long."""


class SessionCache:
    """The last session with each endpoint.

    A session holds the verdict on the server's certificate, which is for one host and one set of
    TLS options. Both are part of an endpoint, and no other is given the session.
    """

    def __init__(self) -> None:
        self._sessions: OrderedDict[Endpoint, tuple[ssl.SSLContext, ssl.SSLSession, float]] = (
            OrderedDict()
        )

    def find(self, endpoint: Endpoint, context: ssl.SSLContext) -> ssl.SSLSession | None:
        """The session to resume with this context; None: there is none."""
        kept = self._sessions.get(endpoint)
        if kept is None:
            return None
        made_with, session, ends = kept
        if made_with is not context or ends < time.monotonic():
            del self._sessions[endpoint]
            return None
        return session

    def keep(self, endpoint: Endpoint, context: ssl.SSLContext, session: ssl.SSLSession) -> None:
        """Keep a session that may be resumed, in place of the one before."""
        self._sessions.pop(endpoint, None)
        self._sessions[endpoint] = (context, session, time.monotonic() + _LONGEST)
        if len(self._sessions) > _MOST:
            self._sessions.popitem(last=False)
