"""What receivers do: `delivery.verify`."""

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
def test_a_refusal_carries_its_reason(
    change: dict[str, Any], now: float, reason: SignatureProblem
) -> None:
    with pytest.raises(InvalidSignature) as caught:
        delivery.verify(BODY, signed(SECRET) | change, SECRET, now=now)
    assert caught.value.reason is reason
    copied = pickle.loads(pickle.dumps(caught.value))
    assert (str(copied), copied.reason) == (str(caught.value), reason)


def test_the_last_second_that_has_a_date_is_verified() -> None:
    last = 253_402_300_799
    assert delivery.verify(BODY, signed(SECRET, at=last), SECRET, now=last).timestamp.year == 9999


def test_the_secret_that_matched_is_reported() -> None:
    secrets = [OTHER, PUBLIC, SECRET]
    for signer, index in ((OTHER, 0), (PRIVATE, 1), (SECRET, 2)):
        assert delivery.verify(BODY, signed(signer), secrets, now=AT).secret_index == index
    assert delivery.verify(BODY, signed(SECRET), SECRET, now=AT).secret_index == 0


def by_standardwebhooks(body: bytes, headers: dict[str, str]) -> None:
    standardwebhooks.Webhook(SECRET).verify(body, headers, json_parse=False)


def by_svix(body: bytes, headers: dict[str, str]) -> None:
    svix.Webhook(SECRET).verify(body, headers)


@pytest.mark.parametrize("judge", [by_standardwebhooks, by_svix])
def test_a_signature_for_an_id_with_a_dot_fits_no_other_message(judge: Any) -> None:
    """The official packages take both messages."""
    now = int(time.time())
    stamp = datetime.fromtimestamp(now, UTC)
    signature = standardwebhooks.Webhook(SECRET).sign(f"a.{now}", stamp, "1")
    for message_id, body in ((f"a.{now}", b"1"), ("a", f"{now}.1".encode())):
        headers = {
            "webhook-id": message_id,
            "webhook-timestamp": str(now),
            "webhook-signature": signature,
        }
        judge(body, headers)
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
    """Headers as `http.server` has them, which is no mapping."""
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
def test_an_argument_of_the_wrong_type_is_refused_with_an_error_of_ours(
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
"""From libsodium's list; the sign of x, the highest bit, may be set in addition."""
NOT_CANONICAL = [
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
]
NOT_ON_THE_CURVE = ["0200000000000000000000000000000000000000000000000000000000000000"]


@pytest.mark.parametrize("encoded", SMALL_ORDER + NOT_CANONICAL + NOT_ON_THE_CURVE)
@pytest.mark.parametrize("sign", [0, 0x80])
def test_a_public_key_for_which_anybody_can_sign_is_refused(encoded: str, sign: int) -> None:
    key = bytearray.fromhex(encoded)
    key[31] |= sign
    with pytest.raises(InvalidSecret, match="anybody could sign"):
        delivery.verify(BODY, signed(PRIVATE), "whpk_" + base64.b64encode(key).decode(), now=AT)


def test_openssl_takes_one_signature_for_every_message_by_a_key_of_small_order() -> None:
    """The check of public keys prevents this."""
    identity = bytes.fromhex(SMALL_ORDER[1])
    Ed25519PublicKey.from_public_bytes(identity).verify(identity + bytes(32), b"anything")
    Ed25519PublicKey.from_public_bytes(identity).verify(identity + bytes(32), b"else")


@given(st.binary(min_size=32, max_size=32))
def test_every_generated_key_pair_is_accepted(seed: bytes) -> None:
    secret = "whsk_" + base64.b64encode(seed).decode()
    assert delivery.verify(BODY, signed(secret), str(public_key(secret)), now=AT).id == ID


def test_ten_thousand_signatures_take_no_longer_than_a_few() -> None:
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
def test_nothing_is_verified_that_the_official_packages_refuse(
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
    for judge in (by_standardwebhooks, by_svix):
        try:
            judge(body, headers)
        except ValueError:
            # They give up at a word that is no signature, which is passed over here.
            assert set(words) & {"v1", "v1,", "v1,AAAA", "junk"}
