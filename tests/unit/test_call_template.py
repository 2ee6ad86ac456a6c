"""Placeholders of calls."""

from __future__ import annotations

import re
import sys
import tracemalloc
from pathlib import Path
from uuid import UUID

import pytest

from delivery.errors import InvalidReaction
from delivery.message.request.url import parse_url
from delivery.message.request.validation import validate_params
from delivery.message.storage.exact_json import decode_exactly, encode_exactly
from delivery.message.template.decoded_payload import DecodedPayload
from delivery.message.template.filling import Facts, Filled, compile_call, plain_url
from delivery.message.template.parsing import TemplateError, compile_template
from delivery.models import Body, BodyKind, HttpParams

FACTS = Facts(
    tenant_id="acme",
    job_id=UUID(int=7),
    attempt=2,
    max_attempts=10,
    trigger_id=UUID(int=8),
    trigger_type="order.paid",
    created_at=1_767_322_645.5,
    reaction_id=UUID(int=9),
    reaction_name="orders",
    area_id=None,
)
PAYLOAD = rb"""{
  "id": 12345678901234567890123, "price": 1.10, "tiny": 1e-400, "name": "Zo\u00eb \"Q\" \u2603",
  "path": "a/b?c=d#e&f", "dots": "..",
  "lines": "one\r\nX-Evil: 1", "nul": "\u0000", "lone": "\ud800",
  "none": null, "yes": true, "items": [{"sku": "A-1"}, {"sku": "B-2"}], "odd key": 5,
  "nested": {"z": 1, "a": [1.0, 2]}, "host": "@evil.test"
}"""


def filled(**call: object) -> Filled:
    params = HttpParams(**{"url": "https://example.test/hook", **call})  # type: ignore[arg-type]
    compiled = compile_call(params)
    assert compiled is not None
    return compiled.fill(FACTS, DecodedPayload(PAYLOAD))


def target(url: str) -> str:
    return filled(url=f"https://example.test{url}").target


def header(value: str) -> str:
    return filled(headers=(("X-Value", value),)).headers[0][1]


def json_body(content: object) -> bytes | None:
    return filled(body=Body(BodyKind.JSON, content)).body


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{ event.items[0].sku }}", "A-1"),
        ("{{event.items[-1].sku}}", "B-2"),
        ('{{ event["odd key"] }}', "5"),
        ("{{ event.price }}", "1.10"),
        ("{{ event.id }}", "12345678901234567890123"),
        ("{{ event.tiny }}", "1e-400"),
        ("{{ event.yes }}", "true"),
        ('{{ event.missing | default("-") }}', "-"),
        ("{{ event.none | default(0) }}", "0"),
        ("{{ event.items | json }}", '[{"sku":"A-1"},{"sku":"B-2"}]'),
        ("{{ event.missing | default(null) | json }}", "null"),
        ('a {{ "{{" }} b', "a {{ b"),
        ("{{ trigger.type }} {{ trigger.tenant_id }}", "order.paid acme"),
        ("{{ trigger.created_at }}", "2026-01-02T02:57:25.500000Z"),
        ("{{ trigger.id }}", str(UUID(int=8))),
        ("{{ job.attempt }} of {{ job.max_attempts }}", "2 of 10"),
        ("{{ reaction.name }}", "orders"),
    ],
)
def test_a_placeholder_yields_the_value_at_its_path(template: str, text: str) -> None:
    assert header(template) == text


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("/o/{{ event.path }}/x", "/o/a%2Fb%3Fc%3Dd%23e%26f/x"),
        ("/o?q={{ event.path }}&x=1", "/o?q=a%2Fb%3Fc%3Dd%23e%26f&x=1"),
        ("/ü/{{ event.name }}", "/%C3%BC/Zo%C3%AB%20%22Q%22%20%E2%98%83"),
        ("/{{ event.host }}", "/%40evil.test"),
        ("?a={{ event.id }}#frag", "/?a=12345678901234567890123"),
        ("/{{ event.lines }}", "/one%0D%0AX-Evil%3A%201"),
        ("/a%20b/{{ event.yes }}", "/a%20b/true"),
        ("/{{ event.nul }}", "/%00"),
        ("/..{{ event.yes }}", "/..true"),
    ],
)
def test_a_value_is_confined_to_its_part_of_the_url(url: str, sent: str) -> None:
    assert target(url) == sent


def test_query_pairs_are_encoded_and_appended_to_the_query_of_the_url() -> None:
    call = filled(
        url="https://example.test/x?own=1",
        query=(("a b", "{{ event.path }}"), ("plain", "1&2")),
    )
    assert call.target == "/x?own=1&a%20b=a%2Fb%3Fc%3Dd%23e%26f&plain=1%262"
    assert filled(url="https://e.test/x?", query=(("q", "{{ event.id }}"),)).target[:5] == "/x?q="


@pytest.mark.parametrize(
    ("content", "sent"),
    [
        ("{{ event.id }}", b"12345678901234567890123"),
        ("{{ event.price }}", b"1.10"),
        ("{{ event.none }}", b"null"),
        ("{{ event.nested }}", b'{"z":1,"a":[1.0,2]}'),
        ({"a": ["{{ event.yes }}", "n: {{ event.price }}"]}, b'{"a":[true,"n: 1.10"]}'),
        ({"q": "say {{ event.name }}"}, '{"q":"say Zoë \\"Q\\" ☃"}'.encode()),
        ({"nul": "{{ event.nul }}"}, b'{"nul":"\\u0000"}'),
        ({"lone": "{{ event.lone }}"}, b'{"lone":"\\ud800"}'),
        (
            {"as text": "{{ event.id | json }}", "fixed": 1.5},
            b'{"as text":"12345678901234567890123","fixed":1.5}',
        ),
    ],
)
def test_a_whole_json_value_retains_its_type_and_a_part_becomes_a_string(
    content: object, sent: bytes
) -> None:
    assert json_body(content) == sent


def test_forms_and_raw_bodies_are_filled_in() -> None:
    form = filled(body=Body(BodyKind.FORM, {"a": "{{ event.path }}", "n": 1, "t": True})).body
    assert form == b"a=a%2Fb%3Fc%3Dd%23e%26f&n=1&t=true"
    raw = filled(body=Body(BodyKind.RAW, "<n>{{ event.name }}</n>")).body
    assert raw == '<n>Zoë "Q" ☃</n>'.encode()


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ({"url": "https://e.test/{{ event.dots }}/x"}, "makes segment 1 of the url's path . or .."),
        ({"url": "https://e.test/{{ event.missing }}"}, "event is an object without .missing"),
        ({"url": "https://e.test/{{ event.items[9] }}"}, "event.items is a list without [9]"),
        ({"url": "https://e.test/{{ event.name.x }}"}, "event.name is a string without .x"),
        ({"url": "https://e.test/{{ event.none }}"}, "is null"),
        ({"url": "https://e.test/{{ event.items }}"}, "is a list"),
        ({"url": "https://e.test/{{ event.lone }}"}, "lone surrogate"),
        ({"headers": (("X-A", "{{ event.lines }}"),)}, "line break or control character"),
        ({"headers": (("X-A", "{{ event.nul }}"),)}, "line break or control character"),
        ({"headers": (("X-A", "{{ event.name }}"),)}, "not in ISO 8859-1"),
        ({"body": Body(BodyKind.RAW, "{{ event.lone }}")}, "lone surrogate"),
        ({"body": Body(BodyKind.JSON, ["{{ event.gone }}"])}, "event is an object without .gone"),
    ],
)
def test_the_error_about_an_invalid_value_gives_the_reason(
    call: dict[str, object], reason: str
) -> None:
    with pytest.raises(TemplateError, match=re.escape(reason)):
        filled(**call)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "{{ evnt.id }}",
            "character 8: unknown name evnt; the names are event, trigger, reaction, job",
        ),
        ("{{ trigger.nope }}", "trigger has only id, type, tenant_id, created_at"),
        ("{{ event.id", "}} is missing"),
        ("{{ event. }}", "expected a name"),
        ("{{ event[x] }}", 'expected an index or a "name"'),
        ("{{ event.id | upper }}", "unexpected filter upper"),
        ("{{ event.id | default(x) }}", "expected a literal"),
        ("{{ event.id | json | json }}", "unexpected filter json"),
        ("{{ event.__class__.mro() }}", "}} is missing"),
        ('{{ event["a" }}', "] is missing"),
        ("{{ }}", "expected one of event, trigger, reaction, job"),
        ("{{{ event.id }}}", "expected one of"),
    ],
)
def test_the_error_about_an_invalid_template_gives_the_position(text: str, reason: str) -> None:
    with pytest.raises(InvalidReaction, match=re.escape(reason)) as refused:
        compile_template(text, "headers.X-Order")
    assert str(refused.value).startswith("headers.X-Order, character ")
    assert "⟨here⟩" in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "Bearer hunter2 {{ evnt.id }}",
        '{{ event.id | defalt("hunter2") }}',
        '{{ event.id | default("hunter2") | upper }}',
        '{{ event.id | default("hunter2" }}',
        "{{ event.id | default(hunter2) }}",
        '{{ event.id | default("hunter2\\x") }}',
        '{{ "hunter2" | upper }}',
    ],
)
def test_an_error_about_a_template_quotes_neither_literals_nor_surrounding_text(
    text: str,
) -> None:
    with pytest.raises(InvalidReaction) as refused:
        compile_template(text, "headers.Authorization")
    assert "hunter2" not in str(refused.value)


def test_an_error_about_a_value_is_short_and_quotes_no_literal() -> None:
    with pytest.raises(TemplateError) as refused:
        header('{{ event.items | default("hunter2") }}')
    assert str(refused.value).startswith("{{ event.items | default(…) }} is a list")
    with pytest.raises(TemplateError) as refused:
        header(f"{{{{ event{'.a_long_name' * 190} }}}}")
    assert len(str(refused.value)) < 700


def test_a_path_deeper_than_any_payload_is_rejected() -> None:
    with pytest.raises(InvalidReaction, match="more than 200 steps"):
        compile_template(f"{{{{ event{'.a' * 201} }}}}", "x")
    compile_template(f"{{{{ event{'.a' * 200} }}}}", "x")


def test_far_too_many_placeholders_are_rejected_before_parsing() -> None:
    body = Body(BodyKind.JSON, ["{{ event.a }}" * 100] * 1_000)
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        with pytest.raises(InvalidReaction, match="100,000 placeholders; at most 1,000"):
            compile_call(HttpParams("https://a.test", body=body))
    finally:
        sys.setprofile(None)
    assert calls < 50_000


def test_an_error_about_a_name_that_utf8_cannot_encode_can_be_stored() -> None:
    with pytest.raises(TemplateError) as refused:
        header(r'{{ event["\ud800\u0000"] }}')
    assert r'without ["\ud800\u0000"]' in str(refused.value)
    str(refused.value).encode()


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ('/{{ event["a#b"] }}#frag', "/hash"),
        ('/{{ event["a?b/c"] }}?x', "/mark?x"),
        ("/x?a=1#{{ event.gone }}", "/x?a=1"),
    ],
)
def test_separators_in_a_placeholder_do_not_split_the_url(url: str, sent: str) -> None:
    call = compile_call(
        HttpParams(f"https://e.test{url}", query=(), headers=(("X", "{{ job.id }}"),))
    )
    assert call is not None
    assert call.fill(FACTS, DecodedPayload(b'{"a#b": "hash", "a?b/c": "mark"}')).target == sent


@pytest.mark.parametrize("value", ["../../admin", "a\\\\..\\\\b", "..;x=1/y", "x/.."])
def test_a_value_cannot_traverse_the_path(value: str) -> None:
    call = compile_call(HttpParams("https://e.test/f/{{ event }}/x?q={{ event }}"))
    assert call is not None
    with pytest.raises(TemplateError, match=re.escape("path . or ..")):
        call.fill(FACTS, DecodedPayload(f'"{value}"'.encode()))


def test_many_placeholders_of_a_large_value_use_little_memory() -> None:
    payload = b'{"a": "%b"}' % (b"x" * 100_000)
    many = "{{ event.a }}"
    for call in (
        HttpParams("https://e.test/" + many * 200),
        HttpParams("https://e.test", query=(("q", many * 200),)),
        HttpParams("https://e.test", headers=(("X", many * 200),)),
        HttpParams("https://e.test", body=Body(BodyKind.RAW, many * 200)),
        HttpParams("https://e.test", body=Body(BodyKind.JSON, [many] * 900)),
        HttpParams("https://e.test", body=Body(BodyKind.JSON, [f"{many}-"] * 900)),
        HttpParams("https://e.test", body=Body(BodyKind.FORM, {str(n): many for n in range(900)})),
    ):
        compiled = compile_call(call)
        assert compiled is not None
        tracemalloc.start()
        with pytest.raises(TemplateError, match="would be longer than"):
            compiled.fill(FACTS, DecodedPayload(payload))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < 9_000_000


def test_an_empty_payload_is_an_error_of_the_template() -> None:
    call = compile_call(HttpParams("https://e.test/{{ event.id }}"))
    assert call is not None
    with pytest.raises(TemplateError, match="payload is not JSON"):
        call.fill(FACTS, DecodedPayload(b""))


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ({"url": "https://e.test/%{{ event.id }}"}, "a % before a placeholder"),
        ({"url": "https://e.test/%2{{ event.id }}"}, "a % before a placeholder"),
        ({"url": "https://e.test/{{ a }}/b"}, "url, character 20: unknown name a;"),
        ({"body": Body(BodyKind.JSON, ["{{ job.id }}"] * 1_001)}, "1,001 placeholders"),
        ({"body": Body(BodyKind.RAW, "{{job.id}}" * 201)}, "too many placeholders"),
        ({"body": Body(BodyKind.RAW, "a", "text/{{ event.a }}")}, "content_type takes no placeh"),
        ({"query": (("a", "b" * 8_192),)}, "query has 8,193 characters"),
    ],
)
def test_invalid_templates_are_rejected_by_validation(call: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidReaction, match=re.escape(reason)):
        validate_params(HttpParams(**{"url": "https://e.test/", **call}))  # type: ignore[arg-type]


@pytest.mark.parametrize("url", [None, 5, b"https://e.test/{{ event.id }}"])
def test_parse_url_rejects_a_url_that_is_not_a_string(url: object) -> None:
    assert compile_call(HttpParams(url)) is None  # type: ignore[arg-type]
    with pytest.raises(InvalidReaction, match="it must be a string"):
        parse_url(plain_url(url))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url",
    [
        "https://{{ event.host }}/x",
        "https://example.test{{ event.host }}/x",
        "https://example.test:{{ event.port }}/x",
        "{{ event.scheme }}://example.test/x",
        "https://{{ event.user }}@example.test/x",
        '{{ event["://h/"] }}/x',
    ],
)
def test_placeholders_cannot_choose_the_host(url: str) -> None:
    with pytest.raises(InvalidReaction, match="only the path and the query can have placeholders"):
        plain_url(url)


@pytest.mark.parametrize(
    "call",
    [
        {"query": (("{{ event.id }}", "1"),)},
        {"headers": (("{{ event.id }}", "1"),)},
        {"body": Body(BodyKind.JSON, {"{{ event.id }}": 1})},
        {"body": Body(BodyKind.FORM, {"{{ event.id }}": "1"})},
    ],
)
def test_names_cannot_have_placeholders(call: dict[str, object]) -> None:
    with pytest.raises(InvalidReaction, match="names cannot have placeholders"):
        filled(**call)


def test_a_call_without_placeholders_is_not_compiled() -> None:
    call = HttpParams("https://e.test/x?y", headers=(("X", "{ {"),), body=Body(BodyKind.RAW, "}}"))
    assert compile_call(call) is None


def test_documents_retain_numbers_and_order_when_they_are_encoded_again() -> None:
    text = '{"b":1.0,"a":[1e5,-0,12345678901234567890,"☃",null,false],"c":{}}'
    assert encode_exactly(decode_exactly(text.encode())) == text


def test_every_placeholder_in_the_documentation_compiles() -> None:
    page = (Path(__file__).parents[2] / "docs" / "templates.md").read_text(encoding="utf-8")
    found = re.findall(r"\{\{ [^…]*? \}\}", page)
    assert len(found) > 5
    for each in found:
        compile_template(each, "page")
