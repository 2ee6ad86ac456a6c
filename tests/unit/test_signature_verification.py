"""Verification of signatures by receivers."""

from __future__ import annotations

import base64
import email.message
import pickle
import time
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import standardwebhooks
import svix
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

import delivery
from delivery import (
    InvalidInput,
    InvalidSecret,
    InvalidSignature,
    SignatureKind,
    SignatureProblem,
)
from delivery.message.signing import Signer, generate_secret, public_key

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = generate_secret()
PRIVATE = generate_secret(SignatureKind.V1A)
PUBLIC = str(public_key(PRIVATE))
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = 1614265330
BODY = b'{"test": 2432232314}'


def signed(*secrets: str, body: bytes = BODY, at: int = AT) -> dict[str, str]:
    """Return the headers of a signed message."""
    return {
        "webhook-id": ID,
        "webhook-timestamp": str(at),
        "webhook-signature": Signer(secrets).sign(ID, at, body).decode(),
    }


def rejection(headers: Any, body: bytes = BODY, *secrets: str, now: float = AT) -> str:
    with pytest.raises(InvalidSignature) as caught:
        delivery.verify(body, headers, secrets or SECRET, now=now)
    return str(caught.value)


@pytest.mark.parametrize("receiver", [SECRET, PUBLIC, PRIVATE], ids=["whsec", "whpk", "whsk"])
def test_a_signed_message_is_verified_with_any_kind_of_key(receiver: str) -> None:
    """The result has the id and the time of the message."""
    found = delivery.verify(BODY, signed(SECRET, PRIVATE), receiver, now=AT)
    assert found.id == ID
    assert found.timestamp == datetime.fromtimestamp(AT, UTC)


def test_one_matching_pair_of_secret_and_signature_suffices() -> None:
    """During a rotation, sender and receiver have several secrets."""
    headers = signed(OTHER, SECRET)
    assert delivery.verify(BODY, headers, [generate_secret(), PUBLIC, SECRET], now=AT).id
    assert delivery.verify(BODY, signed(SECRET, generate_secret(), PRIVATE), [PUBLIC], now=AT).id


def test_headers_can_have_the_types_of_common_frameworks() -> None:
    """Case is ignored. Mappings, pairs, strings and the bytes of ASGI are accepted."""
    headers = signed(SECRET)
    titles = {name.title(): value for name, value in headers.items()}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    for form in (headers, titles, list(headers.items()), raw, dict(raw)):
        assert delivery.verify(BODY, form, SECRET, now=AT).id


def test_the_clock_of_the_machine_is_the_default() -> None:
    now = int(datetime.now(UTC).timestamp())
    assert delivery.verify(BODY, signed(SECRET, at=now), SECRET).id
    with pytest.raises(InvalidSignature, match="old"):
        delivery.verify(BODY, signed(SECRET), SECRET)


def test_the_tolerance_applies_to_past_and_future_and_can_be_set() -> None:
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


def test_unknown_and_malformed_signatures_are_skipped() -> None:
    right = signed(SECRET)["webhook-signature"]
    for junk in ("v2,AAAA", "v1,é", "v1", ",", "", "v1a,AAAA", "v1,AAAA", "v1a,", "v1,====="):
        headers = signed(SECRET) | {"webhook-signature": f"{junk} {right}"}
        assert delivery.verify(BODY, headers, [SECRET, PUBLIC], now=AT).id


def test_the_number_of_verified_signatures_is_limited() -> None:
    right = signed(SECRET)["webhook-signature"]
    headers = signed(SECRET) | {"webhook-signature": "v1a,AAAA " * 64 + right}
    assert "no signature matches" in rejection(headers)


def test_a_signature_does_not_match_under_another_version() -> None:
    relabelled = signed(PRIVATE)
    relabelled["webhook-signature"] = relabelled["webhook-signature"].replace("v1a,", "v1,")
    for headers, key in ((relabelled, PUBLIC), (signed(PRIVATE), SECRET), (signed(SECRET), PUBLIC)):
        assert "none of the signatures" in rejection(headers, BODY, key)


@pytest.mark.parametrize(
    ("change", "now", "body", "reason"),
    [
        ({}, AT, BODY + b" ", "no signature matches"),
        ({"webhook-id": "msg_other"}, AT, BODY, "no signature matches"),
        ({"webhook-id": "msg_\ud800"}, AT, BODY, "webhook-id is not"),
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
def test_a_changed_or_old_message_is_rejected(
    change: dict[str, str], now: float, body: bytes, reason: str
) -> None:
    """The message gives the reason."""
    for secret in (SECRET, PRIVATE):
        found = rejection(signed(SECRET, PRIVATE) | change, body, secret, now=now)
        assert reason in found


def test_the_error_about_an_invalid_secret_does_not_contain_the_secret() -> None:
    with pytest.raises(InvalidSecret, match="no secret"):
        delivery.verify(BODY, signed(SECRET), [], now=AT)
    for wrong in ("swordfish", "whsec_c3dvcmRmaXNo", "whpk_c3dvcmRmaXNo", "whpk_swordfish!"):
        with pytest.raises(InvalidSecret) as caught:
            delivery.verify(BODY, signed(SECRET), wrong, now=AT)
        assert wrong.removeprefix("whsec_").removeprefix("whpk_") not in str(caught.value)
    short = base64.b64encode(b"k" * 31).decode()
    with pytest.raises(InvalidSecret, match="31 bytes"):
        delivery.verify(BODY, signed(SECRET), f"whpk_{short}", now=AT)
    with pytest.raises(InvalidInput, match="give the received bytes"):
        delivery.verify("{}", signed(SECRET), SECRET, now=AT)  # type: ignore[arg-type]


@given(st.dictionaries(st.sampled_from(sorted(signed(SECRET))), st.text()), st.binary())
def test_any_message_is_verified_or_rejected(change: dict[str, str], body: bytes) -> None:
    """No other exception is raised."""
    try:
        found = delivery.verify(body, signed(SECRET) | change, [SECRET, PUBLIC], now=AT)
    except InvalidSignature:
        return
    assert found.id == ID
    assert body == BODY


RIGHT = signed(SECRET)["webhook-signature"]
WRONG = signed(OTHER)["webhook-signature"]


@pytest.mark.parametrize(
    ("change", "now", "reason"),
    [
        ({"webhook-id": None}, AT, SignatureProblem.MISSING),
        ({"webhook-timestamp": ""}, AT, SignatureProblem.MISSING),
        ({"webhook-signature": []}, AT, SignatureProblem.MISSING),
        ({"webhook-id": "a.b"}, AT, SignatureProblem.MALFORMED),
        ({"webhook-id": "a b"}, AT, SignatureProblem.MALFORMED),
        ({"webhook-id": "é"}, AT, SignatureProblem.MALFORMED),
        ({"webhook-id": "m" * 257}, AT, SignatureProblem.MALFORMED),
        ({"webhook-id": [ID, "other"]}, AT, SignatureProblem.MALFORMED),
        ({"webhook-timestamp": "1e9"}, AT, SignatureProblem.MALFORMED),
        ({"webhook-timestamp": "253402300800"}, AT, SignatureProblem.MALFORMED),
        ({"webhook-signature": "signature"}, AT, SignatureProblem.MALFORMED),
        ({"webhook-signature": "v1a,AAAA v2,AAAA"}, AT, SignatureProblem.UNKNOWN_KIND),
        ({"webhook-signature": WRONG}, AT, SignatureProblem.MISMATCH),
        ({"webhook-signature": "v1,é"}, AT, SignatureProblem.MISMATCH),
        ({}, AT + 301, SignatureProblem.TOO_OLD),
        ({}, AT - 301, SignatureProblem.TOO_NEW),
        ({}, float("inf"), SignatureProblem.TOO_OLD),
        ({}, float("nan"), SignatureProblem.TOO_OLD),
    ],
)
def test_an_error_has_its_reason(
    change: dict[str, Any], now: float, reason: SignatureProblem
) -> None:
    with pytest.raises(InvalidSignature) as caught:
        delivery.verify(BODY, signed(SECRET) | change, SECRET, now=now)
    assert caught.value.reason is reason
    copied = pickle.loads(pickle.dumps(caught.value))
    assert (str(copied), copied.reason) == (str(caught.value), reason)


def test_the_last_second_of_the_year_9999_is_accepted() -> None:
    last = 253_402_300_799
    assert delivery.verify(BODY, signed(SECRET, at=last), SECRET, now=last).timestamp.year == 9999


def test_the_index_of_the_matching_secret_is_returned() -> None:
    secrets = [OTHER, PUBLIC, SECRET]
    for signer, index in ((OTHER, 0), (PRIVATE, 1), (SECRET, 2)):
        assert delivery.verify(BODY, signed(signer), secrets, now=AT).secret_index == index
    assert delivery.verify(BODY, signed(SECRET), SECRET, now=AT).secret_index == 0


def by_standardwebhooks(body: bytes, headers: dict[str, str]) -> None:
    standardwebhooks.Webhook(SECRET).verify(body, headers, json_parse=False)


def by_svix(body: bytes, headers: dict[str, str]) -> None:
    svix.Webhook(SECRET).verify(body, headers)


@pytest.mark.parametrize("reference", [by_standardwebhooks, by_svix])
def test_an_id_with_a_dot_is_rejected(reference: Any) -> None:
    """The official packages accept two messages with one signature."""
    now = int(time.time())
    stamp = datetime.fromtimestamp(now, UTC)
    signature = standardwebhooks.Webhook(SECRET).sign(f"a.{now}", stamp, "1")
    for message_id, body in ((f"a.{now}", b"1"), ("a", f"{now}.1".encode())):
        headers = {
            "webhook-id": message_id,
            "webhook-timestamp": str(now),
            "webhook-signature": signature,
        }
        reference(body, headers)
        if "." in message_id:
            with pytest.raises(InvalidSignature) as caught:
                delivery.verify(body, headers, SECRET)
            assert caught.value.reason is SignatureProblem.MALFORMED
    for wrong in ("a.b", "", "a b", "a\r\nb", "ü"):
        with pytest.raises(InvalidInput):
            Signer([SECRET]).sign(wrong, now, b"body")
    with pytest.raises(InvalidInput):
        Signer([SECRET]).sign("a", -1, b"body")


def as_message(pairs: list[tuple[str, str]]) -> email.message.Message:
    """Return headers as in `http.server`, which are not a mapping."""
    message = email.message.Message()
    for name, value in pairs:
        message[name] = value
    return message


@pytest.mark.parametrize("lines", [[WRONG, RIGHT], [RIGHT, WRONG], ["v2,AAAA", RIGHT, "junk"]])
@pytest.mark.parametrize(
    "form",
    [
        list,
        lambda pairs: [(name.encode(), value.encode()) for name, value in pairs],
        httpx.Headers,
        as_message,
        lambda pairs: {
            name: [value for other, value in pairs if other == name] for name, _ in pairs
        },
        lambda pairs: {
            name: ",".join(value for other, value in pairs if other == name) for name, _ in pairs
        },
        lambda pairs: {
            name: ", ".join(value for other, value in pairs if other == name) for name, _ in pairs
        },
    ],
)
def test_the_signatures_of_all_lines_count(form: Any, lines: list[str]) -> None:
    pairs = [("Webhook-Id", ID), ("webhook-timestamp", str(AT))]
    pairs += [("Webhook-Signature", line) for line in lines]
    assert delivery.verify(BODY, form(pairs), SECRET, now=AT).id == ID


@pytest.mark.parametrize(
    "arguments",
    [
        {"headers": None},
        {"headers": 5},
        {"headers": "abc"},
        {"headers": [1, 2]},
        {"headers": {**signed(SECRET), "webhook-id": 5}},
        {"headers": {**signed(SECRET), None: "x"}},
        {"headers": [("webhook-id",)]},
        {"body": None},
        {"secrets": None},
        {"secrets": 5},
        {"secrets": b"whsec_"},
        {"secrets": [None]},
        {"tolerance": "300"},
        {"now": datetime.fromtimestamp(AT, UTC)},
    ],
)
def test_an_argument_of_the_wrong_type_raises_an_error_of_delivery(
    arguments: dict[str, Any],
) -> None:
    given_ = {"body": BODY, "headers": signed(SECRET), "secrets": SECRET, "now": AT, **arguments}
    with pytest.raises((InvalidInput, InvalidSignature)) as caught:
        delivery.verify(**given_)
    assert SECRET not in str(caught.value)


SMALL_ORDER = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
]
"""Keys from the list of libsodium. The highest bit, the sign of x, can also be set."""
NOT_CANONICAL = [
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
]
NOT_ON_THE_CURVE = ["0200000000000000000000000000000000000000000000000000000000000000"]


@pytest.mark.parametrize("encoded", SMALL_ORDER + NOT_CANONICAL + NOT_ON_THE_CURVE)
@pytest.mark.parametrize("sign", [0, 0x80])
def test_unsafe_public_keys_are_rejected(encoded: str, sign: int) -> None:
    key = bytearray.fromhex(encoded)
    key[31] |= sign
    with pytest.raises(InvalidSecret, match="anyone can create signatures"):
        delivery.verify(BODY, signed(PRIVATE), "whpk_" + base64.b64encode(key).decode(), now=AT)


def test_openssl_accepts_one_signature_for_any_message_with_a_key_of_small_order() -> None:
    """The check of public keys prevents this."""
    identity = bytes.fromhex(SMALL_ORDER[1])
    Ed25519PublicKey.from_public_bytes(identity).verify(identity + bytes(32), b"anything")
    Ed25519PublicKey.from_public_bytes(identity).verify(identity + bytes(32), b"else")


@given(st.binary(min_size=32, max_size=32))
def test_every_generated_key_pair_is_accepted(seed: bytes) -> None:
    secret = "whsk_" + base64.b64encode(seed).decode()
    assert delivery.verify(BODY, signed(secret), str(public_key(secret)), now=AT).id == ID


def test_ten_thousand_signatures_are_rejected_quickly() -> None:
    began = time.process_time()
    bogus = "v1a," + base64.b64encode(bytes(64)).decode()
    for lines in (" ".join([bogus] * 10_000), [bogus] * 10_000):
        headers = signed(SECRET) | {"webhook-signature": lines}
        with pytest.raises(InvalidSignature):
            delivery.verify(BODY, headers, PUBLIC, now=AT)
    assert time.process_time() - began < 1


@given(
    st.fixed_dictionaries(
        {
            "webhook-id": st.sampled_from([ID, "other", "a.b"]),
            "webhook-timestamp": st.integers(-2, 2),
            "webhook-signature": st.lists(
                st.sampled_from([0, 1, "v2,AAAA", "v1", "v1,", "v1,AAAA", "junk"]), min_size=1
            ),
        }
    ),
    st.sampled_from([BODY, BODY + b" "]),
)
def test_the_official_packages_accept_all_verified_messages(
    change: dict[str, Any], body: bytes
) -> None:
    now = int(time.time())
    own = signed(SECRET, at=now)["webhook-signature"]
    words = [
        own if word == 0 else WRONG if word == 1 else word
        for word in change.pop("webhook-signature")
    ]
    headers = {
        "webhook-id": change["webhook-id"],
        "webhook-timestamp": str(now + change["webhook-timestamp"]),
        "webhook-signature": " ".join(words),
    }
    try:
        delivery.verify(body, headers, SECRET)
    except InvalidSignature:
        return
    for reference in (by_standardwebhooks, by_svix):
        try:
            reference(body, headers)
        except ValueError:
            # They reject words that are not signatures, which `verify` skips.
            assert set(words) & {"v1", "v1,", "v1,AAAA", "junk"}
