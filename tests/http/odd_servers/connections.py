"""When connections are closed, kept, reset, and spoken on out of turn."""

from __future__ import annotations

from typing import Final

from tests.http.odd_servers.script import END, OK, Failure, OddServer, Response, Step, Varying

__all__ = ["SERVERS"]

_SAME: Final = OK + END
_UNASKED: Final = b"HTTP/1.1 500 Unasked\r\nContent-Length: 0\r\n\r\n"
_LARGE: Final = b"x" * 5_000_000
_HUGE: Final = b"x" * 40_000_000
"""More than the system takes for a server that does not read."""
_REFUSED: Final = b"HTTP/1.1 413 Too Large\r\n"
_CLOSE: Final = b"Connection: close\r\n"
_NONE: Final = Failure("the connection was closed without a response")
_ANSWERED: Final = "the answer came before the reset, and is one"

_ENDED: Final = (
    OddServer("closed without an answer", (Step.CLOSE,), _NONE),
    OddServer("reset without an answer", (Step.RESET,), _NONE),
    OddServer("sends nothing, and no more", (Step.HALF_CLOSE,), _NONE),
    OddServer("no answer", (Step.GONE,), Failure("while waiting for a response"), timeout=0.2),
    OddServer("says close, and does not", (OK + _CLOSE + END,)),
    OddServer("says close, and does", (OK + _CLOSE + END, Step.CLOSE)),
    OddServer("says close in a list", (OK + b"Connection: x, close\r\n" + END,)),
    OddServer("says close and keep-alive", (OK + b"Connection: close, keep-alive\r\n" + END,)),
    OddServer("says keep-alive, then close", (OK + b"Connection: keep-alive\r\n" + _CLOSE + END,)),
    OddServer("says it to a proxy", (OK + b"Proxy-Connection: close\r\n" + END,)),
    OddServer("closes and did not say so", (_SAME, Step.CLOSE)),
    OddServer("resets and did not say so", (_SAME, Step.RESET)),
    OddServer("sends no more and did not say so", (_SAME, Step.HALF_CLOSE)),
    OddServer("closes when the next request comes", (_SAME, Step.NEXT_REQUEST, Step.CLOSE)),
    OddServer("resets when the next request comes", (_SAME, Step.NEXT_REQUEST, Step.RESET)),
)

_BEHIND: Final = (
    OddServer("another answer behind it", (_SAME + _UNASKED,)),
    OddServer("half of an answer behind it", (_SAME + _UNASKED[:12],)),
    OddServer("junk behind it", (_SAME + b"junk",)),
    OddServer("NUL behind it", (_SAME + b"\x00",)),
    OddServer("100 behind it", (_SAME + b"HTTP/1.1 100 Continue\r\n\r\n",)),
    OddServer("an empty line behind it", (_SAME + b"\r\n",), kept=True),
    OddServer("an answer behind one that says close", (OK + _CLOSE + END + _UNASKED,)),
)

_EARLY: Final = (
    OddServer("answers, and then reads", (_SAME, Step.REST), body=_LARGE, reads_body=False),
    OddServer(
        "100, then reads, then answers",
        (b"HTTP/1.1 100 Continue\r\n\r\n", Step.REST, _SAME),
        body=_LARGE,
        reads_body=False,
        kept=True,
    ),
    OddServer(
        "answers, reads nothing, and stays",
        (_REFUSED + END, Step.STAY),
        Response(413),
        httpx=Failure(),
        because="the answer is here; what is left of the request is not sent",
        body=_HUGE,
        reads_body=False,
        timeout=0.5,
    ),
    OddServer(
        "answers without a length, reads nothing, and sends no more",
        (_REFUSED + b"\r\nok", Step.END_OF_STREAM, Step.STAY),
        Response(413),
        httpx=Failure(),
        because="the answer is here; what is left of the request is not sent",
        body=_HUGE,
        reads_body=False,
        timeout=0.5,
    ),
    OddServer(
        "answers without a length, and never ends",
        (_REFUSED + b"\r\nok", Step.STAY),
        Failure("the timeout of 0.2 s expired while sending the request"),
        body=_HUGE,
        reads_body=False,
        timeout=0.2,
    ),
    OddServer(
        "answers, says close, and sends no more",
        (_REFUSED + _CLOSE + END, Step.HALF_CLOSE),
        Response(413),
        body=_LARGE,
        reads_body=False,
    ),
    OddServer(
        "answers, and closes",
        (_REFUSED + _CLOSE + END, Step.CLOSE),
        Response(413),
        httpx=Varying(),
        because=_ANSWERED,
        body=_LARGE,
        reads_body=False,
    ),
    OddServer(
        "answers without a length, and closes",
        (_REFUSED + b"\r\nok", Step.CLOSE),
        Response(413),
        httpx=Varying(),
        because=_ANSWERED,
        body=_LARGE,
        reads_body=False,
    ),
    OddServer(
        "answers to the head of a small request, and closes",
        (_REFUSED + END, Step.CLOSE),
        Response(413),
        body=b"x" * 1000,
        reads_body=False,
    ),
)

# Whether they come before the request is sent depends on the moment.
_UNASKED_FOR: Final = (
    OddServer(
        "refuses before it is asked",
        (),
        Response(503),
        greeting=b"HTTP/1.1 503 Busy\r\n" + END,
        kept=None,
    ),
    OddServer(
        "refuses before it is asked, and closes",
        (Step.CLOSE,),
        Response(503),
        greeting=b"HTTP/1.1 503 Busy\r\n" + _CLOSE + END,
    ),
    OddServer(
        "refuses before it is asked, without a length",
        (Step.CLOSE,),
        Response(503),
        greeting=b"HTTP/1.1 503 Busy\r\n\r\nok",
    ),
    OddServer(
        "begins before it is asked",
        (b" OK\r\n" + END,),
        greeting=b"HTTP/1.1 200",
        kept=None,
    ),
    OddServer(
        "greets as mail servers do",
        (),
        Failure("the response is not HTTP/1.1"),
        greeting=b"220 mail.example ESMTP\r\n",
        timeout=0.2,
    ),
)

SERVERS: Final = _UNASKED_FOR + _ENDED + _BEHIND + _EARLY
