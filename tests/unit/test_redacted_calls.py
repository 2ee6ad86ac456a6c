"""What is secret of a call is redacted where it is shown, and comes back whole."""

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
        ("X-Plain", "shown"),
        ("authorization", "Basic hunter3"),
    ),
    query=(("api_key", "hunter2"), ("page", "2")),
    body=Body(
        BodyKind.JSON,
        {"user": {"password": "hunter2", "name": "shown", "tokens": ["hunter2", 1]}, "pin": None},
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


def test_everything_that_looks_secret_is_concealed_and_the_rest_is_not() -> None:
    shown = redact_call(FULL)
    assert "hunter" not in str(
        (shown.url, shown.headers, shown.query, shown.body.content, shown.tls, shown.secrets)
    )
    assert shown.url == "https://example.com/hook?access_token=***&page=1"
    assert shown.headers[1] == ("X-Plain", "shown")
    assert shown.body.content == {
        "user": {"password": "***", "name": "shown", "tokens": "***"},
        "pin": None,
    }
    assert shown.secrets == ("***",)
    assert shown.tls.client_certificate == "CERT"


@pytest.mark.parametrize(
    ("content", "content_type", "shown"),
    [
        ('{"token": "hunter2", "a": 1.50}', None, '{"token":"***","a":1.5}'),
        ('{"a": 1.50}', "application/json", '{"a": 1.50}'),
        ("a=1&token=hunter2", "application/x-www-form-urlencoded", "a=1&token=***"),
        ("a=1&token=hunter2", None, "a=1&token=***"),
        ("{token: hunter2", None, "{token: hunter2"),
    ],
)
def test_texts_are_concealed_where_they_tell_names(
    content: str, content_type: str | None, shown: str
) -> None:
    """Other text has no names by which to judge; what is sent is the text as it was given."""
    params = HttpParams("https://e.com/", body=Body(BodyKind.RAW, content, content_type))
    assert redact_call(params).body.content == shown
    assert decode_params(encode_params(params, CIPHER), CIPHER) == params


def test_a_call_is_stored_without_what_is_secret_and_comes_back_whole() -> None:
    stored = encode_params(FULL, CIPHER)
    assert "hunter" not in str(stored)
    assert "shown" in stored.params
    assert decode_params(stored, CIPHER) == FULL
    assert redacted_params(stored) == replace(redact_call(FULL), secrets=())


def test_nothing_is_encrypted_where_nothing_is_secret() -> None:
    plain = HttpParams("https://example.com/", headers=(("X-Plain", "shown"),))
    stored = encode_params(plain, CIPHER)
    assert stored.credentials == "{}"
    assert decode_params(stored, Cipher()) == plain


def test_without_the_key_a_call_can_be_shown_but_not_read() -> None:
    stored = encode_params(FULL, CIPHER)
    with pytest.raises(MissingKey, match=r"secrets\.keys"):
        decode_params(stored, Cipher([generate_key()]))
    assert redacted_params(stored).headers[0] == ("Authorization", "***")


def test_what_earlier_versions_stored_is_read_and_concealed() -> None:
    """In clear, with the headers beside the URL, and before some options were there."""
    stored = encode_params(HttpParams("https://e.com/?token=x"), Cipher())
    before = StoredCall(
        stored.params.replace("token=***", "token=hunter2"),
        '{"secrets": ["whsec_hunter2"], "client_key": "hunter2"}',
    )
    read = decode_params(before, CIPHER)
    assert (read.url, read.tls.client_key) == ("https://e.com/?token=hunter2", "hunter2")
    assert read.secrets == ("whsec_hunter2",)
    shown = redacted_params(before)
    assert (shown.url, shown.tls.client_key) == ("https://e.com/?token=***", "***")


@given(calls)
def test_concealing_twice_is_concealing_once(params: HttpParams) -> None:
    assert redact_call(redact_call(params)) == redact_call(params)


@given(calls)
def test_every_call_that_is_stored_comes_back(params: HttpParams) -> None:
    try:
        stored = encode_params(params, CIPHER)
    except InvalidReaction:
        assert "***" in str((params.url, params.headers, params.query, params.body.content))
        return
    assert decode_params(stored, CIPHER) == params


@given(calls)
def test_what_was_shown_and_given_back_is_what_it_was(params: HttpParams) -> None:
    assert restore(redact_call(params), params) == params


def test_part_of_what_was_shown_may_be_changed() -> None:
    """The marks that are left stand for what they stood for."""
    shown = redact_call(FULL)
    content = {**shown.body.content, "more": 1}
    content["user"] = {**content["user"], "name": "another"}
    given = replace(
        shown,
        headers=(("X-New", "1"), *shown.headers[::2]),
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
            "open": ["shown", '{"a": "shown"}'],
        },
    ),
)


def test_secrets_in_texts_within_texts_are_concealed_and_come_back() -> None:
    shown = redact_call(NESTED)
    assert "hunter" not in str((shown.url, shown.headers, shown.query, shown.body.content))
    assert shown.url == "https://e.com/?next=https%3A%2F%2Fe.test%2F%3Ftoken%3D***"
    assert shown.headers[0] == ("X-Call", "https://e.test/?token=***&a=1")
    assert shown.body.content["form"] == "user=a&password=***"
    assert shown.body.content["open"] == NESTED.body.content["open"]
    stored = encode_params(NESTED, CIPHER)
    assert "hunter" not in str(stored)
    assert decode_params(stored, CIPHER) == NESTED
    assert restore(shown, NESTED) == NESTED
    assert redact_call(shown) == shown


@pytest.mark.parametrize("kind", ["{}", "[{}]"])
def test_a_text_body_is_looked_into_as_well(kind: str) -> None:
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
def test_a_mark_that_stands_for_nothing_known_is_refused(
    change: dict[str, Any], place: str
) -> None:
    """It would be sent as it is, or stored over the real one."""
    given = replace(HttpParams("https://e.com/"), **change)
    with pytest.raises(InvalidReaction, match="give the real one") as caught:
        refuse_marks(restore(given, HttpParams("https://e.com/")))
    assert place in str(caught.value)
    with pytest.raises(InvalidReaction):
        encode_params(given, CIPHER)


def test_marks_where_nothing_secret_belongs_are_what_they_are() -> None:
    refuse_marks(
        HttpParams(
            "https://e.com/***?page=***",
            headers=(("X-Plain", "***"),),
            body=Body(BodyKind.JSON, {"note": "***", "password": "not ***"}),
        )
    )


def test_the_representation_of_a_call_holds_no_secret() -> None:
    for text in (repr(FULL), repr(FULL.body), repr(FULL.tls)):
        assert "hunter" not in text
    assert "https://example.com/hook" in repr(FULL)
    assert "Authorization" in repr(FULL)
    assert "pw" not in repr(HttpParams("https://me:pw@e.com/a"))
