"""Properties of templates."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit
from uuid import UUID

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from delivery.errors import InvalidReaction
from delivery.message.request.url import parse_url
from delivery.message.request.validation import validate_params
from delivery.message.storage.exact_json import decode_exactly, encode_exactly
from delivery.message.template.decoded_payload import DecodedPayload
from delivery.message.template.filling import Facts, compile_call, plain_url
from delivery.message.template.parsing import TemplateError, compile_template
from delivery.models import Body, BodyKind, HttpParams

FACTS = Facts("t", UUID(int=1), 1, 1, None, None, 0.0, None, None, None)

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=2), inner),
    max_leaves=8,
)
fragments = st.sampled_from(
    [
        *(
            "{{",
            "}}",
            "{",
            "}",
            " ",
            "event",
            ".",
            "[",
            "]",
            '"',
            "0",
            "-1",
            "|",
            "json",
            "default",
        ),
        *("(", ")", "null", "a", "trigger", "\\", "\n", "é", "__class__", ","),
    ]
)


@given(st.lists(fragments, max_size=25).map("".join) | st.text())
@example("{{ event" + "[0]" * 500 + "}}")
@example('{{ "\\ud800" }}')
def test_any_text_compiles_or_is_rejected_with_a_position(text: str) -> None:
    try:
        template = compile_template(text, "body")
    except InvalidReaction as error:
        assert str(error).startswith("body")  # noqa: PT017 - both results are valid
        return
    try:
        template.fill({"event": decode_exactly(b'{"a": [1, {"a": null}]}')}, "it", 999)
    except TemplateError:
        return


@given(json_values)
def test_exact_decoding_and_encoding_round_trips(value: object) -> None:
    text = orjson.dumps(value)
    assert orjson.loads(encode_exactly(decode_exactly(text))) == orjson.loads(text)


@given(st.text(st.characters(exclude_categories=["Cs"])))
@example("..")
@example("../../admin")
@example("..;v=1\\x")
@example("a/b?c#d&e=f@g:h%2e%2e")
def test_a_value_in_a_url_is_one_segment_or_query_value(text: str) -> None:
    call = compile_call(HttpParams("https://example.test/a/{{ event }}/b?q={{ event }}&z=1#f"))
    assert call is not None
    try:
        target = call.fill(FACTS, DecodedPayload(orjson.dumps(text))).target
    except TemplateError:
        assert text == "." or ".." in re.split(r"[/\\]|;[^/\\]*", text)
        return
    parts = urlsplit(f"https://example.test{target}")
    assert parts.netloc == "example.test"
    segments = parts.path.split("/")
    assert [unquote(each) for each in segments] == ["", "a", text, "b"]
    first, last = parts.query.split("&")
    assert (unquote(first.removeprefix("q=")), last) == (text, "z=1")


@given(
    st.lists(fragments, max_size=12).map("".join),
    st.lists(fragments | st.text(max_size=3), max_size=4).map("".join),
    json_values,
)
@example('["\\ud800"]', "", {})
@example("", "", "x" * 9_000)
def test_any_template_and_payload_yield_a_valid_request_or_an_error(
    inside: str, around: str, value: object
) -> None:
    text = f"{around}{{{{ event{inside} }}}}{around}"
    body = Body(BodyKind.JSON, {"a": [text], "b": text})
    try:
        params = validate_params(
            HttpParams(
                f"https://example.test/p/{text}?q={text}",
                headers=(("X-Value", text),),
                query=(("q", text),),
                body=body,
            )
        )
        endpoint, _ = parse_url(plain_url(params.url))
        call = compile_call(params)
        assert call is not None
        filled = call.fill(FACTS, DecodedPayload(orjson.dumps(value)))
    except (InvalidReaction, TemplateError) as error:
        # The message can be stored.
        assert len(str(error).encode()) < 1_500  # noqa: PT017 - both results are valid
        return
    assert endpoint.host == "example.test"
    assert filled.target.startswith("/p/")
    assert filled.target.isascii()
    assert not re.search(r"[\x00-\x20\x7f]", filled.target)
    assert not re.search(r"[\x00-\x08\x0a-\x1f\x7f]", filled.headers[0][1])
    orjson.loads(filled.body or b"")


@given(json_values)
def test_any_value_is_unchanged_in_json_and_cannot_end_the_line_of_a_header(
    value: object,
) -> None:
    payload = orjson.dumps({"v": value})
    body = Body(BodyKind.JSON, {"whole": "{{ event.v }}", "text": "{{ event.v | json }}"})
    call = compile_call(HttpParams("https://example.test", body=body))
    assert call is not None
    sent = call.fill(FACTS, DecodedPayload(payload)).body
    assert sent is not None
    assert orjson.loads(sent)["whole"] == orjson.loads(payload)["v"]
    assert orjson.loads(orjson.loads(sent)["text"]) == orjson.loads(payload)["v"]
    in_header = compile_call(HttpParams("https://e.test", headers=(("X", "{{ event.v }}"),)))
    assert in_header is not None
    try:
        ((_, line),) = in_header.fill(FACTS, DecodedPayload(payload)).headers
    except TemplateError:
        return
    assert not {"\r", "\n", "\0"} & set(line)
    line.encode("latin-1")


@pytest.mark.parametrize("depth", [150])
def test_deep_documents_are_filled_in(depth: int) -> None:
    payload = b"[" * depth + b"1" + b"]" * depth
    call = compile_call(HttpParams("https://e.test", body=Body(BodyKind.JSON, ["{{ event }}"])))
    assert call is not None
    assert call.fill(FACTS, DecodedPayload(payload)).body == b"[" + payload + b"]"
