"""Redacted and stored calls."""

from __future__ import annotations

import json
import string
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.errors import InvalidReaction, MissingKey
from delivery.message.redaction.calls import redact_call, refuse_marks, restore
from delivery.message.storage.calls import StoredCall, decode_params, encode_params, redacted_params
from delivery.message.storage.encryption import Cipher, generate_key
from delivery.models import Body, BodyKind, HttpParams, TlsOptions

CIPHER = Cipher([generate_key()])
FULL = HttpParams(
    "https://example.com/hook?access_token=hunter2&page=1",
    headers=(
        ("Authorization", "Bearer hunter2"),
        ("X-Plain", "plain"),
        ("authorization", "Basic hunter3"),
    ),
    query=(("api_key", "hunter2"), ("page", "2")),
    body=Body(
        BodyKind.JSON,
        {"user": {"password": "hunter2", "name": "plain", "tokens": ["hunter2", 1]}, "pin": None},
    ),
    tls=TlsOptions(client_certificate="CERT", client_key="hunter2"),
    secrets=("whsec_hunter2",),
)

names = st.sampled_from(["Authorization", "X-Api-Key", "X-Plain", "X-Other", "cookie"])
values = st.text(string.ascii_letters + "*& =", max_size=8)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | values,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)
calls = st.builds(
    HttpParams,
    url=st.builds(
        "https://e.com/?{}={}".format, names, values.map(lambda text: text.strip("& =*"))
    ),
    headers=st.lists(st.tuples(names, values), max_size=4).map(tuple),
    query=st.lists(st.tuples(names, values), max_size=4).map(tuple),
    body=json_values.map(lambda value: Body(BodyKind.JSON, value)),
)


def test_only_values_that_look_secret_are_redacted() -> None:
    redacted = redact_call(FULL)
    assert "hunter" not in str(
        (
            redacted.url,
            redacted.headers,
            redacted.query,
            redacted.body.content,
            redacted.tls,
            redacted.secrets,
        )
    )
    assert redacted.url == "https://example.com/hook?access_token=***&page=1"
    assert redacted.headers[1] == ("X-Plain", "plain")
    assert redacted.body.content == {
        "user": {"password": "***", "name": "plain", "tokens": "***"},
        "pin": None,
    }
    assert redacted.secrets == ("***",)
    assert redacted.tls.client_certificate == "CERT"


@pytest.mark.parametrize(
    ("content", "content_type", "redacted"),
    [
        ('{"token": "hunter2", "a": 1.50}', None, '{"token":"***","a":1.5}'),
        ('{"a": 1.50}', "application/json", '{"a": 1.50}'),
        ("a=1&token=hunter2", "application/x-www-form-urlencoded", "a=1&token=***"),
        ("a=1&token=hunter2", None, "a=1&token=***"),
        ("{token: hunter2", None, "{token: hunter2"),
    ],
)
def test_text_bodies_are_redacted_if_they_have_names(
    content: str, content_type: str | None, redacted: str
) -> None:
    """Redaction needs names. The sent text is always the original text."""
    params = HttpParams("https://e.com/", body=Body(BodyKind.RAW, content, content_type))
    assert redact_call(params).body.content == redacted
    assert decode_params(encode_params(params, CIPHER), CIPHER) == params


def test_a_stored_call_contains_no_secrets_and_decodes_to_the_original() -> None:
    stored = encode_params(FULL, CIPHER)
    assert "hunter" not in str(stored)
    assert "plain" in stored.params
    assert decode_params(stored, CIPHER) == FULL
    assert redacted_params(stored) == replace(redact_call(FULL), secrets=())


def test_a_call_without_secrets_is_not_encrypted() -> None:
    plain = HttpParams("https://example.com/", headers=(("X-Plain", "plain"),))
    stored = encode_params(plain, CIPHER)
    assert stored.credentials == "{}"
    assert decode_params(stored, Cipher()) == plain


def test_without_the_key_only_the_redacted_call_can_be_read() -> None:
    stored = encode_params(FULL, CIPHER)
    with pytest.raises(MissingKey, match=r"secrets\.keys"):
        decode_params(stored, Cipher([generate_key()]))
    assert redacted_params(stored).headers[0] == ("Authorization", "***")


def test_calls_of_earlier_versions_are_read_and_redacted() -> None:
    """They have a URL in plain text and lack some options."""
    stored = encode_params(HttpParams("https://e.com/?token=x"), Cipher())
    before = StoredCall(
        stored.params.replace("token=***", "token=hunter2"),
        '{"secrets": ["whsec_hunter2"], "client_key": "hunter2"}',
    )
    read = decode_params(before, CIPHER)
    assert (read.url, read.tls.client_key) == ("https://e.com/?token=hunter2", "hunter2")
    assert read.secrets == ("whsec_hunter2",)
    redacted = redacted_params(before)
    assert (redacted.url, redacted.tls.client_key) == ("https://e.com/?token=***", "***")


@given(calls)
def test_redaction_is_idempotent(params: HttpParams) -> None:
    assert redact_call(redact_call(params)) == redact_call(params)


@given(calls)
def test_every_stored_call_decodes_to_the_original(params: HttpParams) -> None:
    try:
        stored = encode_params(params, CIPHER)
    except InvalidReaction:
        assert "***" in str((params.url, params.headers, params.query, params.body.content))
        return
    assert decode_params(stored, CIPHER) == params


@given(calls)
def test_a_redacted_call_restores_to_the_original(params: HttpParams) -> None:
    assert restore(redact_call(params), params) == params


def test_a_changed_redacted_call_retains_the_other_secrets() -> None:
    """The remaining marks stand for the stored values."""
    redacted = redact_call(FULL)
    content = {**redacted.body.content, "more": 1}
    content["user"] = {**content["user"], "name": "another"}
    given = replace(
        redacted,
        headers=(("X-New", "1"), *redacted.headers[::2]),
        query=(("page", "3"), ("api_key", "***")),
        body=Body(BodyKind.JSON, content),
    )
    back = restore(given, FULL)
    assert back.headers == (
        ("X-New", "1"),
        ("Authorization", "Bearer hunter2"),
        ("authorization", "Basic hunter3"),
    )
    assert back.query == (("page", "3"), ("api_key", "hunter2"))
    assert back.body.content["user"] == {**FULL.body.content["user"], "name": "another"}
    assert back.url == FULL.url
    assert back.tls == FULL.tls


NESTED = HttpParams(
    "https://e.com/?next=https%3A%2F%2Fe.test%2F%3Ftoken%3Dhunter2",
    headers=(
        ("X-Call", "https://e.test/?token=hunter2&a=1"),
        ("X-Meta", '{"password": "hunter2"}'),
    ),
    query=(("then", "https://e.test/?a=1&token=hunter2"),),
    body=Body(
        BodyKind.JSON,
        {
            "text": '{"password": "hunter2", "list": ["{\\"pin\\": \\"hunter2\\"}"]}',
            "form": "user=a&password=hunter2",
            "url": "https://e.test/?next=%2F%3Ftoken%3Dhunter2",
            "open": ["plain", '{"a": "plain"}'],
        },
    ),
)


def test_secrets_in_nested_texts_are_redacted_and_restored() -> None:
    redacted = redact_call(NESTED)
    assert "hunter" not in str(
        (redacted.url, redacted.headers, redacted.query, redacted.body.content)
    )
    assert redacted.url == "https://e.com/?next=https%3A%2F%2Fe.test%2F%3Ftoken%3D***"
    assert redacted.headers[0] == ("X-Call", "https://e.test/?token=***&a=1")
    assert redacted.body.content["form"] == "user=a&password=***"
    assert redacted.body.content["open"] == NESTED.body.content["open"]
    stored = encode_params(NESTED, CIPHER)
    assert "hunter" not in str(stored)
    assert decode_params(stored, CIPHER) == NESTED
    assert restore(redacted, NESTED) == NESTED
    assert redact_call(redacted) == redacted


@pytest.mark.parametrize("kind", ["{}", "[{}]"])
def test_nested_json_of_a_text_body_is_redacted(kind: str) -> None:
    inner = json.dumps({"a": json.dumps({"b": json.dumps({"password": "hunter2"})})})
    params = HttpParams("https://e.com/", body=Body(BodyKind.RAW, kind.format(inner)))
    assert "hunter" not in str(redact_call(params).body.content)
    assert "hunter" not in str(encode_params(params, CIPHER))


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"url": "https://other.com/?token=***"}, "token in the query"),
        ({"url": "https://other.com/#a=1&token=***"}, "token in the query"),
        ({"headers": (("X-Api-Key", "***"),)}, "header X-Api-Key"),
        ({"query": (("token", "***"),)}, "token in the query"),
        ({"body": Body(BodyKind.JSON, [{"password": "***"}])}, "in the body"),
        ({"body": Body(BodyKind.FORM, {"password": "***"})}, "in the body"),
        ({"body": Body(BodyKind.RAW, '{"password": "***"}')}, "in the body"),
        ({"body": Body(BodyKind.JSON, {"a": '{"password": "***"}'})}, "in the body"),
        ({"body": Body(BodyKind.RAW, "see https://e.test/?token=***")}, "in the body"),
        ({"headers": (("X-Call", "https://e.test/?token=***"),)}, "header X-Call"),
        ({"query": (("next", "/?token=***"),)}, "next in the query"),
        ({"tls": TlsOptions(client_certificate="x", client_key="***")}, "client_key"),
    ],
)
def test_a_mark_without_a_stored_value_is_rejected(change: dict[str, Any], place: str) -> None:
    """Otherwise the mark would be sent, or would overwrite the secret."""
    given = replace(HttpParams("https://e.com/"), **change)
    with pytest.raises(InvalidReaction, match="give the secret itself") as caught:
        refuse_marks(restore(given, HttpParams("https://e.com/")))
    assert place in str(caught.value)
    with pytest.raises(InvalidReaction):
        encode_params(given, CIPHER)


def test_asterisks_in_place_of_plain_values_are_accepted() -> None:
    refuse_marks(
        HttpParams(
            "https://e.com/***?page=***",
            headers=(("X-Plain", "***"),),
            body=Body(BodyKind.JSON, {"note": "***", "password": "not ***"}),
        )
    )


def test_the_repr_of_a_call_contains_no_secret() -> None:
    for text in (repr(FULL), repr(FULL.body), repr(FULL.tls)):
        assert "hunter" not in text
    assert "https://example.com/hook" in repr(FULL)
    assert "Authorization" in repr(FULL)
    assert "pw" not in repr(HttpParams("https://me:pw@e.com/a"))
