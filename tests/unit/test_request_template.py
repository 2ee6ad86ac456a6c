"""Rendered requests."""

from __future__ import annotations

from typing import Any

import httptools
import pytest

from delivery.errors import InvalidReaction, InvalidSecret
from delivery.message.request.head import find_header, message_headers
from delivery.message.request.template import Rendered, RequestTemplate
from delivery.message.signing import generate_secret, verify
from delivery.models import Body, BodyKind, HttpParams

AT = 1_614_265_330
PAYLOAD = b'{"z": 1,  "a": 9223372036854775809}'


def template(target: str = "/hook", **params: Any) -> RequestTemplate:
    """Create the template of a call to example.com."""
    return RequestTemplate(
        HttpParams(url="https://example.com", **params),
        host="example.com",
        target=target,
        user_agent="delivery/test",
    )


def render(made: RequestTemplate) -> Rendered:
    """Render one message."""
    return made.render("msg_1", AT, "order.paid", 1_767_322_800.25, PAYLOAD)


class Parsed:
    """Result of an HTTP parser."""

    def __init__(self, rendered: Rendered) -> None:
        self.headers: dict[str, str] = {}
        self.url = b""
        self.body = b""
        self.complete = False
        parser = httptools.HttpRequestParser(self)
        parser.feed_data(rendered.head + rendered.body)
        self.method = parser.get_method().decode()

    def on_url(self, url: bytes) -> None:  # noqa: D102
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:  # noqa: D102
        assert name.decode() not in self.headers
        self.headers[name.decode()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:  # noqa: D102
        self.body += body

    def on_message_complete(self) -> None:  # noqa: D102
        self.complete = True


def test_the_default_request_is_complete() -> None:
    """It has the payload as JSON and the headers of Standard Webhooks."""
    rendered = render(template())
    assert rendered.head == (
        b"POST /hook HTTP/1.1\r\n"
        b"Host: example.com\r\n"
        b"User-Agent: delivery/test\r\n"
        b"Accept: */*\r\n"
        b"Accept-Encoding: gzip, deflate\r\n"
        b"Content-Type: application/json\r\n"
        b"Content-Length: 35\r\n"
        b"webhook-id: msg_1\r\n"
        b"webhook-timestamp: 1614265330\r\n"
        b"\r\n"
    )
    assert rendered.body is PAYLOAD
    assert rendered.stored_head is rendered.head


def test_each_secret_signs_the_sent_body() -> None:
    """This holds for bodies of any kind."""
    secrets = (generate_secret(), generate_secret())
    for body in (Body(), Body(BodyKind.ENVELOPE), Body(BodyKind.RAW, "é"), Body(BodyKind.NONE)):
        rendered = render(template(secrets=secrets, body=body))
        headers = message_headers(rendered.head)
        for secret in secrets:
            assert verify(rendered.body, headers, secret, now=AT).id
        assert rendered.stored_head is rendered.head


def test_given_headers_come_last_in_their_order_and_replace_defaults() -> None:
    """User-Agent and Content-Type can be replaced; each occurs once."""
    headers = (("X-B", "é"), ("user-agent", "mine"), ("CONTENT-TYPE", "a/b"), ("X-A", ""))
    rendered = render(template(headers=headers))
    headers_sent = message_headers(rendered.head)
    assert headers_sent[-4:] == headers
    names = [name.lower() for name, _ in headers_sent]
    assert len(set(names)) == len(names)
    assert b"X-B: \xe9\r\n" in rendered.head


def test_secrets_are_not_in_the_stored_head() -> None:
    """Headers and the query are redacted."""
    headers = (("Authorization", "Bearer hunter2"), ("X-A", "100%d %s"))
    rendered = render(template("/hook?a=%25&token=hunter2", headers=headers))
    assert rendered.head.count(b"hunter2") == 2
    assert rendered.stored_head == rendered.head.replace(b"Bearer hunter2", b"***").replace(
        b"hunter2", b"***"
    )
    assert b"/hook?a=%25&token=" in rendered.stored_head


def test_a_given_stored_target_replaces_the_redacted_target() -> None:
    made = RequestTemplate(
        HttpParams(url=""), host="e", target="/secret", stored_target="/***", user_agent="d"
    )
    assert render(made).stored_head.startswith(b"POST /*** HTTP/1.1\r\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
def test_methods_with_a_body_send_the_payload(method: str) -> None:
    """Without a body they send Content-Length: 0."""
    assert template(method=method).sends_payload
    rendered = render(template(method=method, body=Body(BodyKind.NONE)))
    assert find_header(rendered.head, b"content-length") == b"0"
    assert find_header(rendered.head, b"content-type") is None
    assert rendered.body == b""


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE", "OPTIONS"])
def test_methods_without_a_body_send_only_an_explicit_body(method: str) -> None:
    """The default body, the payload, is not sent."""
    made = template(method=method)
    rendered = render(made)
    assert not made.sends_payload
    assert rendered.body == b""
    assert find_header(rendered.head, b"content-length") is None
    assert find_header(rendered.head, b"content-type") is None
    assert find_header(rendered.head, b"webhook-id") == b"msg_1"
    asked = render(template(method=method, body=Body(BodyKind.JSON, [1])))
    assert asked.body == b"[1]"


@pytest.mark.parametrize(
    ("body", "sent", "content_type"),
    [
        (Body(BodyKind.PAYLOAD, None, "application/cloudevents+json"), PAYLOAD, None),
        (
            Body(BodyKind.ENVELOPE),
            b'{"type":"order.paid","timestamp":"2026-01-02T03:00:00.250000Z","data":'
            + PAYLOAD
            + b"}",
            "application/json",
        ),
        (Body(BodyKind.JSON, {"b": [1, None], "a": "é"}), '{"b":[1,null],"a":"é"}'.encode(), None),
        (
            Body(BodyKind.FORM, {"a b": "c&d", "n": 1, "yes": True, "é": "ü"}),
            b"a+b=c%26d&n=1&yes=true&%C3%A9=%C3%BC",
            "application/x-www-form-urlencoded",
        ),
        (Body(BodyKind.RAW, "<x>é\0</x>"), "<x>é\0</x>".encode(), "text/plain; charset=utf-8"),
        (Body(BodyKind.RAW, "", "text/xml"), b"", "text/xml"),
    ],
)
def test_bodies_are_encoded_by_their_kind(
    body: Body, sent: bytes, content_type: str | None
) -> None:
    """The content type is the default of the kind or the given type."""
    made = template(body=body)
    rendered = render(made)
    parsed = Parsed(rendered)
    assert (parsed.body, parsed.complete) == (sent, True)
    assert rendered.body == sent
    expected = body.content_type or content_type or "application/json"
    assert parsed.headers["Content-Type"] == expected
    assert made.sends_payload is (body.kind is BodyKind.PAYLOAD)


def test_the_event_type_is_escaped_in_the_envelope() -> None:
    """It is a JSON string."""
    made = template(body=Body(BodyKind.ENVELOPE))
    rendered = made.render("msg_1", AT, 'a"b\\é', 0.0, b"{}")
    assert rendered.body.startswith('{"type":"a\\"b\\\\é","timestamp":"1970'.encode())


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS"])
def test_an_http_parser_reads_the_request_as_intended(method: str) -> None:
    """Each method is combined with headers, query and signature."""
    rendered = render(
        template(
            "/a/b?c=%20",
            method=method,
            headers=(("X-One", "1"), ("X-Two", "a: b")),
            secrets=(generate_secret(),),
        )
    )
    parsed = Parsed(rendered)
    assert (parsed.method, parsed.url, parsed.complete) == (method, b"/a/b?c=%20", True)
    assert parsed.headers["Host"] == "example.com"
    assert parsed.headers["X-Two"] == "a: b"


def test_invalid_params_are_rejected_when_the_template_is_created() -> None:
    """The error does not wait for the first message."""
    with pytest.raises(InvalidSecret):
        template(secrets=("whsec_short",))
    with pytest.raises(InvalidReaction):
        template(body=Body(BodyKind.RAW, 5))


def test_the_headers_of_a_head_are_listed_as_received() -> None:
    """This covers order, repetition, non-ASCII bytes, folded and invalid lines."""
    head = b"HTTP/1.1 200 OK\r\nA: 1\r\na:2 \r\nFolded: x\r\n\ty\r\nBroken\nB: \xe9: z\r\n\r\n"
    assert message_headers(head) == (
        ("A", "1"),
        ("a", "2"),
        ("Folded", "x y"),
        ("Broken", ""),
        ("B", "é: z"),
    )
    assert message_headers(b"") == ()
    assert message_headers(b"HTTP/1.1 200 OK") == ()


def test_the_first_header_with_a_name_is_found() -> None:
    """Case and the first line are ignored."""
    head = b"HTTP/1.1 200 A: 0\r\nB-A: 1\r\na:  2\t\r\nA: 3\nLast: 4"
    assert find_header(head, b"A") == b"2"
    assert find_header(head, b"LAST") == b"4"
    assert find_header(head, b"HTTP/1.1 200 A") is None
    assert find_header(head, b"C") is None
