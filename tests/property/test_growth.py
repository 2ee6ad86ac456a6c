"""Linear time of functions that process untrusted text.

The tests count calls, which does not depend on the machine. They also limit the CPU time with a
wide margin, because a single call, such as a regex search, can be slow. Linear functions take some
hundredths of a second, quadratic functions take minutes.
"""

from __future__ import annotations

import gc
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from delivery.errors import DeliveryError
from delivery.http.body import is_decompressed
from delivery.http.framing import declares_body, is_framed, merge_content_lengths
from delivery.message.redaction.bodies import redact_body
from delivery.message.redaction.by_name import (
    has_secret_keys,
    redact_head,
    redact_query,
    redact_url,
)
from delivery.message.redaction.calls import redact_call
from delivery.message.redaction.scrubber import Scrubber, secrets_in_value
from delivery.message.request.head import cut_head, message_headers, redirects_in
from delivery.message.request.payload import decode_payload, encode_payload
from delivery.message.request.url import parse_url
from delivery.message.request.validation import validate_params
from delivery.message.storage.exact_json import decode_exactly
from delivery.message.template.parsing import compile_template
from delivery.models import Body, BodyKind, HttpParams
from delivery.observe.secret_filter import scrub_secrets
from delivery.policy.conditions import compile_condition
from delivery.policy.matching import validate_event_type
from delivery.policy.retry_after import retry_after_of
from delivery.service.cursors import decode_cursor

if TYPE_CHECKING:
    from collections.abc import Callable

SHORT, LONG = 25_000, 100_000
MANY = Scrubber(f"aaaaaaaaab{number}" for number in range(400))
FEW = Scrubber(["secret-value-one", "another/secret+two"])


def in_json(content: object) -> HttpParams:
    return HttpParams("http://a.test/", body=Body(BodyKind.JSON, content))


def in_form(text: str) -> HttpParams:
    kind = "application/x-www-form-urlencoded"
    return HttpParams("http://a.test/", body=Body(BodyKind.RAW, text, kind))


CASES: dict[str, tuple[Callable[[Any], object], Callable[[int], Any]]] = {
    "body: members": (redact_body, lambda n: b'{"token":"x",' * (n // 13)),
    "body: quotes": (redact_body, lambda n: b'"token":' + b'"' * n),
    "body: backslashes": (redact_body, lambda n: b'"token":"' + b"\\" * n),
    "body: JSON in strings": (redact_body, lambda n: b'\\"token\\":\\\\"x' * (n // 14)),
    "body: nested": (redact_body, lambda n: b'"token":{' * (n // 9)),
    "body: spaces": (redact_body, lambda n: (b'"token"' + b" " * 100) * (n // 107)),
    "body: form": (redact_body, lambda n: b"token=1&" * (n // 8)),
    "head: fields": (redact_head, lambda n: b"H\r\n" + b"Set-Cookie: a\r\n" * (n // 15)),
    "head: folded": (redact_head, lambda n: b"H\r\nCookie: a" + b"\r\n a" * (n // 4)),
    "head: URLs": (redact_head, lambda n: b"H\r\n" + b"Location: //@\r\n" * (n // 15)),
    "head: cut": (lambda head: cut_head(head, 1_024), lambda n: b"H" + b"\r\nX: a" * (n // 6)),
    "head: headers": (message_headers, lambda n: b"H\r\nX: a" + b"\r\n a" * (n // 4)),
    "head: redirects": (redirects_in, lambda n: b"H 300\nlocation: a\r\n\r\n" * (n // 22)),
    "framing: codings": (is_framed, lambda n: b"H\r\ntransfer-encoding: " + b"a," * (n // 2)),
    "framing: spaces": (is_framed, lambda n: b"H" + b"\r\ncontent-length    " * (n // 20)),
    "framing: zeros": (declares_body, lambda n: b"H\r\ncontent-length:" + b"0" * n),
    "framing: lengths": (
        merge_content_lengths,
        lambda n: b"H" + b"\r\ncontent-length: 1" * (n // 19),
    ),
    "framing: folded": (is_decompressed, lambda n: b"H\r\ncontent-encoding:" + b"\r\n " * (n // 3)),
    "retry-after": (
        lambda head: retry_after_of(head, 0.0),
        lambda n: b"H\r\nRetry-After: " + b"Mon, " * (n // 5),
    ),
    "url: slashes": (redact_url, lambda n: "//" * (n // 2) + "@"),
    "url: pairs": (redact_query, lambda n: "?" + "token=1;" * (n // 8)),
    "url: host": (parse_url, lambda n: "http://" + "ä" * n),
    "scrub: few": (FEW.scrub, lambda n: b"secret-value-one" * (n // 16)),
    "scrub: many": (MANY.scrub, lambda n: b"a" * n),
    "scrub: many found": (MANY.scrub, lambda n: b"aaaaaaaaab1" * (n // 11)),
    "secrets: wide": (lambda v: list(secrets_in_value(v)), lambda n: [{"token": 1}] * (n // 10)),
    "secrets: names": (has_secret_keys, lambda n: [{f"k{i}": 1} for i in range(n // 10)]),
    "log line": (scrub_secrets, lambda n: "://:" * (n // 4)),
    "payload: deep": (
        lambda data: encode_payload(data, 1 << 30),
        lambda n: b"[" * (n // 2) + b"]" * (n // 2),
    ),
    "payload: wide": (
        lambda data: encode_payload(data, 1 << 30),
        lambda n: b"[" + b"[[[[[[[[[[]]]]]]]]]]," * (n // 21) + b"1]",
    ),
    "payload: digits": (decode_payload, lambda n: b"9" * n),
    "payload: exact digits": (decode_exactly, lambda n: b"9" * n),
    "template: opened": (lambda text: compile_template(text, "x"), lambda n: "{{" * (n // 2)),
    "template: spaces": (lambda text: compile_template(text, "x"), lambda n: "{{" + " " * n),
    "template: path": (
        lambda text: compile_template(text, "x"),
        lambda n: "{{ event" + ".a" * (n // 2) + " }}",
    ),
    "template: literal": (
        lambda text: compile_template(text, "x"),
        lambda n: '{{ "' + "\\\\" * (n // 2),
    ),
    "call: placeholders": (
        validate_params,
        lambda n: in_json(["{{ event.a }}" for _ in range(n // 13)]),
    ),
    "call: redacted": (redact_call, lambda n: in_json([{"token": i} for i in range(n // 10)])),
    "call: form": (redact_call, lambda n: in_form("token=1&" * (n // 8))),
    "call: deep text": (
        validate_params,
        lambda n: HttpParams(
            "http://a.test/",
            body=Body(BodyKind.RAW, "[" * (n // 250) + "]" * (n // 250)),
        ),
    ),
    "cursor": (decode_cursor, lambda n: "A" * n),
    "event type": (validate_event_type, lambda n: "a." * (n // 2)),
    "condition": (compile_condition, lambda n: "a." * (n // 2)),
}


def calls_of(function: Callable[[Any], object], given: Any) -> int:
    """Count the calls of the function; errors of delivery are ignored."""
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    # A garbage collection would call finalizers of other tests' objects.
    gc.disable()
    sys.setprofile(count)
    try:
        function(given)
    except DeliveryError:
        pass
    finally:
        sys.setprofile(None)
        gc.enable()
    return calls


@pytest.mark.parametrize("name", CASES)
def test_work_is_linear_in_the_length_of_the_text(name: str) -> None:
    function, made_of = CASES[name]
    short, long = calls_of(function, made_of(SHORT)), calls_of(function, made_of(LONG))
    assert long <= 5 * short + 1_000
    given = made_of(LONG)
    began = time.process_time()
    with suppress(DeliveryError):
        function(given)
    assert time.process_time() - began < 10
