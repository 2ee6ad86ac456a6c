"""Signatures of Standard Webhooks, compared with the official packages."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
import standardwebhooks
import svix

from delivery.errors import InvalidSecret
from delivery.message.signing import (
    ExpiringSigner,
    Signer,
    generate_secret,
    kind_of,
    parse_secret,
    public_key,
)
from delivery.models import SignatureKind

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_" + base64.b64encode(bytes(range(64))).decode()
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
AT = 1614265330
BODY = b'{"test": 2432232314}'
PRIVATE = "whsk_VEVTVFNJR05JTkdLRVlET05PVFVTRVRISVNGT1JBTlk="
"""Seed in the tests of Standard Webhooks' Go library, and its signature of the same message."""
PRIVATE_SIGNATURE = (
    b"v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag=="
)
SIGNATURE = b"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def signed(*secrets: str, body: bytes = BODY, at: int = AT) -> dict[str, str]:
    """Return the headers of a signed message."""
    return {
        "webhook-id": ID,
        "webhook-timestamp": str(at),
        "webhook-signature": Signer(secrets).sign(ID, at, body).decode(),
    }


def test_the_test_vector_of_the_specification_is_reproduced() -> None:
    assert Signer([SECRET]).sign(ID, AT, BODY) == SIGNATURE


def test_each_secret_adds_a_signature() -> None:
    """During a rotation, receivers can use either secret."""
    signatures = Signer([OTHER, SECRET]).sign(ID, AT, BODY).split(b" ")
    assert signatures == [Signer([OTHER]).sign(ID, AT, BODY), SIGNATURE]


@pytest.mark.parametrize("reference", [standardwebhooks.Webhook, svix.Webhook])
@pytest.mark.parametrize("size", [24, 32, 63, 64])
def test_the_official_packages_verify_signatures(reference: Any, size: int) -> None:
    """This covers keys of several lengths, and old and new secrets."""
    now = int(datetime.now(UTC).timestamp())
    secret = "whsec_" + base64.b64encode(bytes(range(size))).decode()
    for secrets in ([secret], [OTHER, secret], [secret, OTHER]):
        reference(secret).verify(BODY, signed(*secrets, at=now))
    with pytest.raises(Exception, match="No matching signature"):
        reference(generate_secret()).verify(BODY, signed(secret, at=now))


def test_padding_of_base64_is_optional() -> None:
    """Both forms have the same key."""
    padded = base64.b64encode(b"k" * 25).decode()
    assert padded.endswith("==")
    assert parse_secret(f"whsec_{padded}") == b"k" * 25
    assert parse_secret(f"whsec_{padded.rstrip('=')}") == b"k" * 25


def test_generated_secrets_are_valid_and_differ() -> None:
    """Each has 32 random bytes."""
    made = {generate_secret() for _ in range(100)}
    assert len(made) == 100
    assert {len(parse_secret(secret)) for secret in made} == {32}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must start with whsec_"),
        ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "must start with whsec_"),
        ("whpk_" + base64.b64encode(b"k" * 32).decode(), "cannot sign"),
        ("whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "encodes 24 bytes"),
        ("whsk_" + base64.b64encode(b"k" * 64).decode(), "not an ed25519 key pair"),
        ("whsk_not base64, surely!", "not base64"),
        ("whsec_not base64, surely!", "not base64"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwé", "not base64"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n", "not base64"),
        ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwA", "not base64"),
        ("whsec_", "encodes 0 bytes"),
        ("whsec_c2hvcnQ=", "encodes 5 bytes"),
        ("whsec_" + base64.b64encode(b"x" * 65).decode(), "encodes 65 bytes"),
    ],
)
def test_the_error_about_an_invalid_secret_does_not_contain_the_secret(
    text: str, message: str
) -> None:
    """The message and the chained exception are checked."""
    with pytest.raises(InvalidSecret, match=message) as caught:
        parse_secret(text)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    encoded = text.removeprefix("whsec_").removeprefix("whsk_").removeprefix("whpk_")
    assert not encoded or encoded not in str(caught.value)


def test_signing_without_a_secret_is_rejected() -> None:
    """A message with an empty signature would look signed."""
    with pytest.raises(InvalidSecret, match="no signing secret"):
        Signer([])


def test_the_vector_of_the_go_library_is_reproduced() -> None:
    """Its secret is only the seed. The seed with the public key is the same secret."""
    assert Signer([PRIVATE]).sign(ID, AT, BODY) == PRIVATE_SIGNATURE
    public = public_key(PRIVATE)
    assert public is not None
    seed = parse_secret(PRIVATE)
    pair = base64.b64encode(seed + base64.b64decode(public.removeprefix("whpk_"))).decode()
    assert Signer([f"whsk_{pair}"]).sign(ID, AT, BODY) == PRIVATE_SIGNATURE
    assert parse_secret(f"whsk_{pair.rstrip('=')}") == seed


def test_the_public_key_of_the_standard_is_reproduced() -> None:
    """The vector is test 1 of RFC 8032, 7.1."""
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    public = public_key("whsk_" + base64.b64encode(seed).decode())
    assert public is not None
    assert base64.b64decode(public.removeprefix("whpk_")).hex() == (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    )
    assert public_key(SECRET) is None


def test_a_generated_key_pair_has_the_seed_and_the_public_key() -> None:
    made = generate_secret(SignatureKind.V1A)
    raw = base64.b64decode(made.removeprefix("whsk_"))
    assert len(raw) == 64
    assert public_key(made) == "whpk_" + base64.b64encode(raw[32:]).decode()
    assert kind_of(made) is SignatureKind.V1A
    assert kind_of(generate_secret()) is SignatureKind.V1
    assert made != generate_secret(SignatureKind.V1A)


@pytest.mark.parametrize("reference", [standardwebhooks.Webhook, svix.Webhook])
def test_the_official_packages_verify_v1_next_to_v1a(reference: Any) -> None:
    """They know only `v1` and skip the rest."""
    now = int(datetime.now(UTC).timestamp())
    headers = signed(PRIVATE, SECRET, at=now)
    assert [each.split(",")[0] for each in headers["webhook-signature"].split(" ")] == ["v1", "v1a"]
    reference(SECRET).verify(BODY, headers)
    with pytest.raises(Exception, match="No matching signature"):
        reference(SECRET).verify(BODY, signed(PRIVATE, at=now))


def test_secrets_sign_until_they_expire() -> None:
    """The timestamp of the message decides."""
    signer = ExpiringSigner([(PRIVATE, None), (SECRET, 110), (OTHER, 105)])

    def versions(at: int) -> bytes:
        value = signer.sign(ID, at, BODY)
        assert value.split(b" ")[-1] == Signer([PRIVATE]).sign(ID, at, BODY)
        return b" ".join(value.split(b" ")[:-1])

    assert versions(104) == Signer([SECRET, OTHER]).sign(ID, 104, BODY)
    assert versions(105) == Signer([SECRET]).sign(ID, 105, BODY)
    assert versions(109) == Signer([SECRET]).sign(ID, 109, BODY)
    assert versions(110) == b""
    assert versions(10**9) == b""


def test_the_first_secret_signs_after_its_expiry() -> None:
    """Each message must be signed."""
    signer = ExpiringSigner([(SECRET, 1), (OTHER, 1)])
    assert signer.sign(ID, AT, BODY) == SIGNATURE
