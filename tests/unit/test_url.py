"""Parsing of URLs."""

from __future__ import annotations

import pytest

from delivery.errors import InvalidReaction
from delivery.message.request.url import Endpoint, ascii_host, literal_address, parse_url
from delivery.models import TlsOptions


def endpoint(scheme: str, host: str, port: int) -> Endpoint:
    return Endpoint(scheme, host, port, TlsOptions())


@pytest.mark.parametrize(
    ("url", "expected", "target"),
    [
        ("http://example.com", endpoint("http", "example.com", 80), "/"),
        ("https://example.com/", endpoint("https", "example.com", 443), "/"),
        ("HTTPS://EXAMPLE.com:8443/A/b", endpoint("https", "example.com", 8443), "/A/b"),
        ("http://example.com:/x", endpoint("http", "example.com", 80), "/x"),
        ("http://example.com?a=1&b=%20", endpoint("http", "example.com", 80), "/?a=1&b=%20"),
        ("http://example.com/p?", endpoint("http", "example.com", 80), "/p?"),
        ("http://example.com/p#part?q", endpoint("http", "example.com", 80), "/p"),
        ("http://Bücher.example/ä?ö=ü", endpoint("http", "xn--bcher-kva.example", 80),
         "/%C3%A4?%C3%B6=%C3%BC"),
        ("http://under_score.example/", endpoint("http", "under_score.example", 80), "/"),
        ("http://127.0.0.1:8000/", endpoint("http", "127.0.0.1", 8000), "/"),
        ("http://[::1]:8000/", endpoint("http", "::1", 8000), "/"),
        ("http://[2001:DB8::0:1]/", endpoint("http", "2001:db8::1", 80), "/"),
        ("http://[::ffff:127.0.0.1]/", endpoint("http", "::ffff:7f00:1", 80), "/"),
        ("http://\uff11\uff12\uff17.0.0.1/", endpoint("http", "127.0.0.1", 80), "/"),
        ('http://example.com/"<>|{}^`', endpoint("http", "example.com", 80),
         "/%22%3C%3E%7C%7B%7D%5E%60"),
    ],
)  # fmt: skip
def test_a_url_is_parsed_into_endpoint_and_target(
    url: str, expected: Endpoint, target: str
) -> None:
    assert parse_url(url) == (expected, target)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (None, "must be a string"),
        (7, "must be a string"),
        ("", "must be a string"),
        ("http://example.com/" + "x" * 9000, "must be a string"),
        ("example.com/hooks", "scheme must be http or https"),
        ("ftp://example.com/", "scheme must be http or https"),
        ("file:///etc/passwd", "scheme must be http or https"),
        ("gopher://example.com:70/_", "scheme must be http or https"),
        ("http:example.com", "has no host"),
        ("http:///path", "has no host"),
        ("http://:80/", "has no host"),
        ("http://user:secret@example.com/", "contains credentials"),
        ("http://example.com@127.0.0.1/", "contains credentials"),
        ("http://@example.com/", "contains credentials"),
        ("http://example.com:0/", "port 0"),
        ("http://example.com:65536/", "ort out of range"),
        ("http://example.com:abc/", "ort could not be cast"),
        ("http://example.com:-1/", "ort"),
        ("http://example.com:80:80/", "ort"),
        ("http://exa mple.com/", "space"),
        (" http://example.com/", "space"),
        ("http://example.com/\r\nX-Evil: 1", "control character"),
        ("http://example.com/a\tb", "control character"),
        ("http://example.com/\x00", "control character"),
        ("http://example.com\\@127.0.0.1/", "backslash"),
        ("http://example.com/\ud800", "lone surrogate"),
        ("http://127.1/", "four decimal numbers"),
        ("http://2130706433/", "four decimal numbers"),
        ("http://0x7f.1/", "four decimal numbers"),
        ("http://0x7f000001/", "four decimal numbers"),
        ("http://0177.0.0.1/", "four decimal numbers"),
        ("http://127.0.0.0x1/", "four decimal numbers"),
        ("http://1.2.3.4.5/", "four decimal numbers"),
        ("http://256.0.0.1/", "four decimal numbers"),
        ("http://example.0x/", "four decimal numbers"),
        ("http://[::1%25eth0]/", "zone"),
        ("http://[fe80::1%eth0]/", "zone"),
        ("http://[::g]/", "IPv6"),
        ("http://[v1.x]/", "IPv"),
        ("http://[::1/", "Invalid IPv6 URL"),
        ("http://[::1]x/", ""),
        ("http://x[::1]/", ""),
        ("http://::1/", ""),
        ("http://-example.com/", "is not a host name"),
        ("http://example..com/", "is not a host name"),
        ("http://exa%6dple.com/", "is not a host name"),
        ("http://" + "a" * 64 + ".com/", "is not a host name"),
        ("http://" + "a." * 130 + "com/", "is not a host name"),
        ("http://ex*mple.com/", "is not a host name"),
        ("http://☃︎\u200d.example/", ""),
    ],
)
def test_an_ambiguous_or_malformed_url_is_rejected_with_the_reason(
    url: object, reason: str
) -> None:
    with pytest.raises(InvalidReaction, match="cannot be called") as refused:
        parse_url(url)
    assert reason in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "header"),
    [
        ("http://example.com/", "example.com"),
        ("http://example.com:80/", "example.com"),
        ("http://example.com:443/", "example.com:443"),
        ("https://example.com:443/", "example.com"),
        ("https://[::1]:8443/", "[::1]:8443"),
    ],
)
def test_the_host_header_omits_the_default_port(url: str, header: str) -> None:
    assert parse_url(url)[0].host_header == header


def test_only_https_endpoints_have_tls_options() -> None:
    options = TlsOptions(ca="PEM")
    assert parse_url("https://example.com/", tls=options)[0].tls == options
    assert parse_url("http://example.com/", tls=options)[0].tls == TlsOptions()


def test_endpoints_with_different_tls_options_differ() -> None:
    one, _ = parse_url("https://example.com/", tls=TlsOptions(ca="one"))
    other, _ = parse_url("https://example.com/", tls=TlsOptions(ca="other"))
    assert one != other


def test_host_names_have_a_canonical_form() -> None:
    assert ascii_host("EXAMPLE.com.") == "example.com"
    assert ascii_host("faß.example") == "xn--fa-hia.example"
    assert ascii_host("::0001") == "::1"
    with pytest.raises(ValueError, match="not a host name"):
        ascii_host("")


def test_only_canonical_addresses_are_literal_addresses() -> None:
    assert str(literal_address("127.0.0.1")) == "127.0.0.1"
    assert str(literal_address("::1")) == "::1"
    assert literal_address("example.com") is None
    assert literal_address("127.1") is None


def test_the_error_about_an_invalid_url_is_redacted() -> None:
    for url in ("https://e.com:99999/?token=hunter2", "ftp://e.com/?a=1&api_key=hunter2#x"):
        with pytest.raises(InvalidReaction) as caught:
            parse_url(url)
        assert "hunter2" not in str(caught.value)
        assert "e.com" in str(caught.value)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://example.com./", "example.com."),
        ("http://例え。テスト。/", "xn--r8jz45g.xn--zckzah."),
        ("http://example.com/", "example.com"),
        ("http://127.0.0.1./", "127.0.0.1"),
        ("http://[::1]/", "::1"),
    ],
)
def test_a_trailing_dot_affects_only_resolution(url: str, name: str) -> None:
    found, _ = parse_url(url)
    assert found.name == name
    assert found.host == found.host_header.strip("[]") == name.removesuffix(".")


def test_names_with_and_without_a_trailing_dot_differ() -> None:
    assert parse_url("http://example.com./")[0] != parse_url("http://example.com/")[0]


@pytest.mark.parametrize(
    ("host", "form"),
    [
        ("i♥.ws", "xn--i-n3p.ws"),
        ("I♥.WS", "xn--i-n3p.ws"),
        ("☃.example", "xn--n3h.example"),
        ("💩.la", "xn--ls8h.la"),
    ],
)
def test_the_error_about_a_host_that_idna_2008_rejects_suggests_a_form(
    host: str, form: str
) -> None:
    with pytest.raises(InvalidReaction, match=f"write it as {form}"):
        parse_url(f"http://{host}/")
    assert parse_url(f"http://{form}/")[0].host == form
