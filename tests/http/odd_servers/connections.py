"""Connections that are closed, reset or reused, and unrequested data on them."""

from __future__ import annotations

from typing import Final

from tests.http.odd_servers.script import END, OK, Failure, OddServer, Response, Step, Varying

__all__ = ["SERVERS"]

_SAME: Final = OK + END
_SECOND: Final = b"HTTP/1.1 500 Unasked\r\nContent-Length: 0\r\n\r\n"
_LARGE: Final = b"x" * 5_000_000
_HUGE: Final = b"x" * 40_000_000
"""Body that is larger than the buffers of the system."""
_REFUSED: Final = b"HTTP/1.1 413 Too Large\r\n"
_CLOSE: Final = b"Connection: close\r\n"
_NONE: Final = Failure("the connection was closed without a response")
_RESPONDED: Final = "the response arrived before the reset"

_ENDED: Final = (
    OddServer("closed without a response", (Step.CLOSE,), _NONE),
    OddServer("reset without a response", (Step.RESET,), _NONE),
    OddServer("half-closed without a response", (Step.HALF_CLOSE,), _NONE),
    OddServer("no response", (Step.GONE,), Failure("while waiting for a response"), timeout=1.0),
    OddServer("announces close, and does not close", (OK + _CLOSE + END,)),
    OddServer("announces close, and closes", (OK + _CLOSE + END, Step.CLOSE)),
    OddServer("announces close in a list", (OK + b"Connection: x, close\r\n" + END,)),
    OddServer("announces close and keep-alive", (OK + b"Connection: close, keep-alive\r\n" + END,)),
    OddServer(
        "announces keep-alive, then close", (OK + b"Connection: keep-alive\r\n" + _CLOSE + END,)
    ),
    OddServer("announces close to a proxy", (OK + b"Proxy-Connection: close\r\n" + END,)),
    OddServer("closes without announcement", (_SAME, Step.CLOSE)),
    OddServer("resets without announcement", (_SAME, Step.RESET)),
    OddServer("half-closes without announcement", (_SAME, Step.HALF_CLOSE)),
    OddServer("closes during the next request", (_SAME, Step.NEXT_REQUEST, Step.CLOSE)),
    OddServer("resets during the next request", (_SAME, Step.NEXT_REQUEST, Step.RESET)),
)

_FOLLOWED: Final = (
    OddServer("another response after it", (_SAME + _SECOND,)),
    OddServer("half a response after it", (_SAME + _SECOND[:12],)),
    OddServer("junk after it", (_SAME + b"junk",)),
    OddServer("NUL after it", (_SAME + b"\x00",)),
    OddServer("100 after it", (_SAME + b"HTTP/1.1 100 Continue\r\n\r\n",)),
    OddServer("an empty line after it", (_SAME + b"\r\n",), reused=True),
    OddServer("a response after one that announces close", (OK + _CLOSE + END + _SECOND,)),
)

_EARLY: Final = (
    OddServer("responds, then reads", (_SAME, Step.REST), body=_LARGE, reads_body=False),
    OddServer(
        "100, then reads, then responds",
        (b"HTTP/1.1 100 Continue\r\n\r\n", Step.REST, _SAME),
        body=_LARGE,
        reads_body=False,
        reused=True,
    ),
    OddServer(
        "responds, reads nothing, and stays open",
        (_REFUSED + END, Step.STAY),
        Response(413),
        httpx=Failure(),
        reason="the response is complete; the rest of the request is not sent",
        body=_HUGE,
        reads_body=False,
        timeout=2.0,
    ),
    OddServer(
        "responds without a length, reads nothing, and half-closes",
        (_REFUSED + b"\r\nok", Step.END_OF_STREAM, Step.STAY),
        Response(413),
        httpx=Failure(),
        reason="the response is complete; the rest of the request is not sent",
        body=_HUGE,
        reads_body=False,
        timeout=2.0,
    ),
    OddServer(
        "responds without a length or end",
        (_REFUSED + b"\r\nok", Step.STAY),
        Failure("the timeout of 1 s expired while sending the request"),
        body=_HUGE,
        reads_body=False,
        timeout=1.0,
    ),
    OddServer(
        "responds, announces close, and half-closes",
        (_REFUSED + _CLOSE + END, Step.HALF_CLOSE),
        Response(413),
        body=_LARGE,
        reads_body=False,
    ),
    OddServer(
        "responds, and closes",
        (_REFUSED + _CLOSE + END, Step.CLOSE),
        Response(413),
        httpx=Varying(),
        reason=_RESPONDED,
        body=_LARGE,
        reads_body=False,
    ),
    OddServer(
        "responds without a length, and closes",
        (_REFUSED + b"\r\nok", Step.CLOSE),
        Response(413),
        httpx=Varying(),
        reason=_RESPONDED,
        body=_LARGE,
        reads_body=False,
    ),
    OddServer(
        "responds to the head of a small request, and closes",
        (_REFUSED + END, Step.CLOSE),
        Response(413),
        body=b"x" * 1000,
        reads_body=False,
    ),
)

# The order of these responses and the request depends on timing.
_UNREQUESTED: Final = (
    OddServer(
        "rejects before the request",
        (),
        Response(503),
        greeting=b"HTTP/1.1 503 Busy\r\n" + END,
        reused=None,
    ),
    OddServer(
        "rejects before the request, and closes",
        (Step.CLOSE,),
        Response(503),
        greeting=b"HTTP/1.1 503 Busy\r\n" + _CLOSE + END,
    ),
    OddServer(
        "rejects before the request, without a length",
        (Step.CLOSE,),
        Response(503),
        greeting=b"HTTP/1.1 503 Busy\r\n\r\nok",
    ),
    OddServer(
        "begins a response before the request",
        (b" OK\r\n" + END,),
        greeting=b"HTTP/1.1 200",
        reused=None,
    ),
    OddServer(
        "greets like a mail server",
        (),
        Failure("the response is not HTTP/1.1"),
        greeting=b"220 mail.example ESMTP\r\n",
        timeout=1.0,
    ),
)

SERVERS: Final = _UNREQUESTED + _ENDED + _FOLLOWED + _EARLY
