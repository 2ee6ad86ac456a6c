"""What receivers do: `delivery.verify`."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

import delivery
from delivery import InvalidInput, InvalidSecret, InvalidSignature, SignatureKind
from delivery.message.signing import Signer, generate_secret, public_key

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = generate_secret()
PRIVATE = generate_secret(SignatureKind.V1A)
PUBLIC = str(public_key(PRIVATE))
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = 1614265330
BODY = b'{"test": 2432232314}'


def signed(*secrets: str, body: bytes = BODY, at: int = AT) -> dict[str, str]:
    """The headers of a message."""
    return {
        "webhook-id": ID,
        "webhook-timestamp": str(at),
        "webhook-signature": Signer(secrets).sign(ID, at, body).decode(),
    }


def refused(headers: Any, body: bytes = BODY, *secrets: str, now: float = AT) -> str:
    with pytest.raises(InvalidSignature) as caught:
        delivery.verify(body, headers, secrets or SECRET, now=now)
    return str(caught.value)


@pytest.mark.parametrize("receiver", [SECRET, PUBLIC, PRIVATE], ids=["whsec", "whpk", "whsk"])
def test_a_signed_message_is_verified_with_any_kind_of_key(receiver: str) -> None:
    """The answer says which message it is, and of when."""
    found = delivery.verify(BODY, signed(SECRET, PRIVATE), receiver, now=AT)
    assert found.id == ID
    assert found.timestamp == datetime.fromtimestamp(AT, UTC)


def test_one_of_several_secrets_and_one_of_several_signatures_is_enough() -> None:
    """As in a rotation, on either side."""
    headers = signed(OTHER, SECRET)
    assert delivery.verify(BODY, headers, [generate_secret(), PUBLIC, SECRET], now=AT).id
    assert delivery.verify(BODY, signed(SECRET, generate_secret(), PRIVATE), [PUBLIC], now=AT).id


def test_headers_may_come_in_any_form() -> None:
    """Names in any case of letters, mappings and pairs, texts and the bytes of ASGI."""
    headers = signed(SECRET)
    titles = {name.title(): value for name, value in headers.items()}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    for form in (headers, titles, list(headers.items()), raw, dict(raw)):
        assert delivery.verify(BODY, form, SECRET, now=AT).id


def test_now_is_by_default_the_time_of_this_machine() -> None:
    now = int(datetime.now(UTC).timestamp())
    assert delivery.verify(BODY, signed(SECRET, at=now), SECRET).id
    with pytest.raises(InvalidSignature, match="old"):
        delivery.verify(BODY, signed(SECRET), SECRET)


def test_the_tolerance_holds_on_both_sides_and_can_be_set() -> None:
    for now in (AT - 300, AT + 300):
        assert delivery.verify(BODY, signed(SECRET), SECRET, now=now).id
    assert delivery.verify(BODY, signed(SECRET), SECRET, now=AT + 999, tolerance=1_000).id
    with pytest.raises(InvalidSignature):
        delivery.verify(BODY, signed(SECRET), SECRET, now=AT, tolerance=float("nan"))


def test_a_message_of_the_official_package_is_verified() -> None:
    stamp = datetime.fromtimestamp(AT, UTC)
    signature = standardwebhooks.Webhook(SECRET).sign(ID, stamp, BODY.decode())
    assert delivery.verify(
        BODY, signed(OTHER) | {"webhook-signature": signature}, SECRET, now=AT
    ).id


def test_unknown_versions_and_what_cannot_be_read_is_passed_over() -> None:
    right = signed(SECRET)["webhook-signature"]
    for junk in ("v2,AAAA", "v1,é", "v1", ",", "", "v1a,AAAA", "v1,AAAA", "v1a,", "v1,====="):
        headers = signed(SECRET) | {"webhook-signature": f"{junk} {right}"}
        assert delivery.verify(BODY, headers, [SECRET, PUBLIC], now=AT).id


def test_no_more_signatures_are_looked_at_than_anybody_needs() -> None:
    right = signed(SECRET)["webhook-signature"]
    headers = signed(SECRET) | {"webhook-signature": "v1a,AAAA " * 64 + right}
    assert "no signature matches" in refused(headers)


def test_a_signature_of_one_version_is_none_of_another() -> None:
    value = signed(PRIVATE)["webhook-signature"].replace("v1a,", "v1,")
    assert "no signature" in refused(signed(SECRET) | {"webhook-signature": value}, BODY, PUBLIC)
    assert "no signature" in refused(signed(PRIVATE), BODY, SECRET)
    assert "no signature" in refused(signed(SECRET), BODY, PUBLIC)


@pytest.mark.parametrize(
    ("change", "now", "body", "reason"),
    [
        ({}, AT, BODY + b" ", "no signature matches"),
        ({"webhook-id": "msg_other"}, AT, BODY, "no signature matches"),
        ({"webhook-id": "msg_\ud800"}, AT, BODY, "no signature matches"),
        ({"webhook-timestamp": str(AT + 1)}, AT, BODY, "no signature matches"),
        ({"webhook-timestamp": f"0{AT}"}, AT, BODY, "no signature matches"),
        ({"webhook-signature": "v1,é v1a,AAAA"}, AT, BODY, "no signature matches"),
        ({}, AT + 301, BODY, "301 s old"),
        ({}, AT - 301, BODY, "301 s far in the future"),
        ({"webhook-timestamp": "today"}, AT, BODY, "not a number"),
        ({"webhook-timestamp": "1" * 5_000}, AT, BODY, "not a number"),
        ({"webhook-timestamp": "²"}, AT, BODY, "not a number"),
        ({"webhook-timestamp": "-1"}, AT, BODY, "not a number"),
        ({"webhook-id": ""}, AT, BODY, "webhook-id is missing"),
        ({"webhook-signature": ""}, AT, BODY, "webhook-signature is missing"),
    ],
)
def test_changed_or_old_message_is_refused(
    change: dict[str, str], now: float, body: bytes, reason: str
) -> None:
    """The reason says which."""
    for secret in (SECRET, PRIVATE):
        found = refused(signed(SECRET, PRIVATE) | change, body, secret, now=now)
        assert reason in found


def test_what_cannot_verify_anything_is_refused_without_being_shown() -> None:
    with pytest.raises(InvalidSecret, match="no secret"):
        delivery.verify(BODY, signed(SECRET), [], now=AT)
    for wrong in ("swordfish", "whsec_c3dvcmRmaXNo", "whpk_c3dvcmRmaXNo", "whpk_swordfish!"):
        with pytest.raises(InvalidSecret) as caught:
            delivery.verify(BODY, signed(SECRET), wrong, now=AT)
        assert wrong.removeprefix("whsec_").removeprefix("whpk_") not in str(caught.value)
    short = base64.b64encode(b"k" * 31).decode()
    with pytest.raises(InvalidSecret, match="31 bytes"):
        delivery.verify(BODY, signed(SECRET), f"whpk_{short}", now=AT)
    with pytest.raises(InvalidInput, match="as they were received"):
        delivery.verify("{}", signed(SECRET), SECRET, now=AT)  # type: ignore[arg-type]


@given(st.dictionaries(st.sampled_from(sorted(signed(SECRET))), st.text()), st.binary())
def test_any_message_is_verified_or_refused(change: dict[str, str], body: bytes) -> None:
    """Without another exception."""
    try:
        found = delivery.verify(body, signed(SECRET) | change, [SECRET, PUBLIC], now=AT)
    except InvalidSignature:
        return
    assert found.id == ID
    assert body == BODY
