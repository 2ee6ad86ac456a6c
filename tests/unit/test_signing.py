"""Signatures by Standard Webhooks, with its official packages as judges."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
import standardwebhooks
import svix

from delivery.errors import InvalidSecret
from delivery.message.signing import Signer, generate_secret, parse_secret, verify

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(bytes(range(64))).decode()
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = b"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def signed(*secrets: str, body: bytes = BODY, at: int = AT) -> dict[str, str]:
    """The headers of a message."""
    return {
        "webhook-id": ID,
        "webhook-timestamp": str(at),
        "webhook-signature": Signer(secrets).sign(ID, at, body).decode(),
    }


def test_published_vector_is_reproduced() -> None:
    """The example of the specification."""
    assert Signer([SECRET]).sign(ID, AT, BODY) == SIGNATURE


def test_each_secret_adds_a_signature() -> None:
    """During rotation receivers may use either secret."""
    signatures = Signer([OTHER, SECRET]).sign(ID, AT, BODY).split(b" ")
    assert signatures == [Signer([OTHER]).sign(ID, AT, BODY), SIGNATURE]


@pytest.mark.parametrize("judge", [standardwebhooks.Webhook, svix.Webhook])
@pytest.mark.parametrize("size", [24, 32, 63, 64])
def test_official_packages_verify(judge: Any, size: int) -> None:
    """Keys of every length, old and new secret."""
    now = int(datetime.now(UTC).timestamp())
    secret = "whsec_" + base64.b64encode(bytes(range(size))).decode()
    for secrets in ([secret], [OTHER, secret], [secret, OTHER]):
        judge(secret).verify(BODY, signed(*secrets, at=now))
    with pytest.raises(Exception, match="No matching signature"):
        judge(generate_secret()).verify(BODY, signed(secret, at=now))


def test_padding_of_base64_is_optional() -> None:
    """Both forms are the same key."""
    padded = base64.b64encode(b"k" * 25).decode()
    assert padded.endswith("==")
    assert parse_secret(f"whsec_{padded}") == b"k" * 25
    assert parse_secret(f"whsec_{padded.rstrip('=')}") == b"k" * 25


def test_generated_secrets_are_valid_and_differ() -> None:
    """32 random bytes each."""
    made = {generate_secret() for _ in range(100)}
    assert len(made) == 100
    assert {len(parse_secret(secret)) for secret in made} == {32}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must start with whsec_"),
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "must start with whsec_"),
        ("whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "another scheme"),
        ("whsec_not base64, surely!", "not base64"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwé", "not base64"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", "not base64"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwA", "not base64"),
        ("whsec_", "encodes 0 bytes"),
        ("whsec_c2hvcnQ=", "encodes 5 bytes"),
        ("whsec_" + base64.b64encode(b"x" * 65).decode(), "encodes 65 bytes"),
    ],
)
def test_wrong_secret_is_refused_without_being_shown(text: str, message: str) -> None:
    """Neither in the message nor in what Python adds to it."""
    with pytest.raises(InvalidSecret, match=message) as caught:
        parse_secret(text)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    encoded = text.removeprefix("whsec_")
    assert not encoded or encoded not in str(caught.value)


def test_signing_without_a_secret_is_refused() -> None:
    """An empty signature would look like a signed message."""
    with pytest.raises(InvalidSecret, match="no signing secret"):
        Signer([])


def test_signed_message_is_verified() -> None:
    """With any one of the secrets, names of headers in any case, at the edges of the tolerance."""
    headers = signed(OTHER, SECRET)
    assert verify([SECRET], headers, BODY, now=AT) is None
    assert verify([generate_secret(), OTHER], headers, BODY, now=AT + 300) is None
    assert verify([SECRET], {k.title(): v for k, v in headers.items()}, BODY, now=AT - 300) is None
    assert verify([SECRET], list(headers.items()), BODY, now=AT) is None


@pytest.mark.parametrize(
    ("change", "now", "body", "reason"),
    [
        ({}, AT, BODY + b" ", "no signature matches"),
        ({"webhook-id": "msg_other"}, AT, BODY, "no signature matches"),
        ({"webhook-timestamp": str(AT + 1)}, AT, BODY, "no signature matches"),
        ({"webhook-signature": "v1,é v1a,AAAA"}, AT, BODY, "no signature matches"),
        ({}, AT + 301, BODY, "301 s old"),
        ({}, AT - 301, BODY, "301 s far in the future"),
        ({"webhook-timestamp": "today"}, AT, BODY, "not a number"),
        ({"webhook-timestamp": "1" * 5_000}, AT, BODY, "not a number"),
        ({"webhook-timestamp": "²"}, AT, BODY, "not a number"),
        ({"webhook-id": ""}, AT, BODY, "webhook-id is missing"),
        ({"webhook-signature": ""}, AT, BODY, "webhook-signature is missing"),
    ],
)
def test_changed_or_old_message_is_refused(
    change: dict[str, str], now: float, body: bytes, reason: str
) -> None:
    """The reason says which."""
    found = verify([SECRET], signed(SECRET) | change, body, now=now)
    assert found is not None
    assert reason in found
