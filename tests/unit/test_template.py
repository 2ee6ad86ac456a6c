"""Placeholders: what they say, what they give, and what is refused."""

from __future__ import annotations

import re
from pathlib import Path
from uuid import UUID

import pytest

from delivery.errors import InvalidReaction
from delivery.message.exact_json import decode_exactly, encode_exactly
from delivery.message.filling import Facts, Filled, compile_call, plain_url
from delivery.message.template import TemplateError, compile_template
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
    return compiled.fill(FACTS, PAYLOAD)


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
def test_a_placeholder_gives_the_value_that_its_path_leads_to(template: str, text: str) -> None:
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
def test_a_value_cannot_leave_its_part_of_the_url(url: str, sent: str) -> None:
    assert target(url) == sent


def test_query_pairs_are_encoded_and_come_behind_the_urls_own() -> None:
    call = filled(
        url="https://example.test/x?own=1",
        query=(("a b", "{{ event.path }}"), ("plain", "1&2")),
    )
    assert call.target == "/x?own=1&a%20b=a%2Fb%3Fc%3Dd%23e%26f&plain=1%262"


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
def test_a_whole_value_keeps_its_type_in_json_and_a_part_becomes_text(
    content: object, sent: bytes
) -> None:
    assert json_body(content) == sent


def test_forms_and_raw_texts_are_filled_in() -> None:
    form = filled(body=Body(BodyKind.FORM, {"a": "{{ event.path }}", "n": 1, "t": True})).body
    assert form == b"a=a%2Fb%3Fc%3Dd%23e%26f&n=1&t=true"
    raw = filled(body=Body(BodyKind.RAW, "<n>{{ event.name }}</n>")).body
    assert raw == '<n>Zoë "Q" ☃</n>'.encode()


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        ({"url": "https://e.test/{{ event.dots }}/x"}, "part of the url's path . or .."),
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
def test_a_value_that_cannot_stand_in_its_place_is_an_error_that_says_why(
    call: dict[str, object], reason: str
) -> None:
    with pytest.raises(TemplateError, match=re.escape(reason)):
        filled(**call)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{{ evnt.id }}", "character 8: there is no evnt; there are event, trigger, reaction, job"),
        ("{{ event.id", "}} is missing"),
        ("{{ event. }}", "here must be a name"),
        ("{{ event[x] }}", 'here must be an index or a "name"'),
        ("{{ event.id | upper }}", "there is no filter upper"),
        ("{{ event.id | default(x) }}", "here must be a literal"),
        ("{{ event.id | json | json }}", "there is no filter json here"),
        ("{{ event.__class__.mro() }}", "}} is missing"),
        ('{{ event["a" }}', "] is missing"),
        ("{{ }}", "here must be one of event, trigger, reaction, job"),
        ("{{{ event.id }}}", "here must be one of"),
    ],
)
def test_a_template_that_cannot_be_read_is_refused_with_the_place(text: str, reason: str) -> None:
    with pytest.raises(InvalidReaction, match=re.escape(reason)) as refused:
        compile_template(text, "headers.X-Order")
    assert str(refused.value).startswith("headers.X-Order, character ")
    assert "⟨here⟩" in str(refused.value)


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
def test_no_placeholder_chooses_whom_to_call(url: str) -> None:
    with pytest.raises(InvalidReaction, match="placeholders may stand in the path"):
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
def test_names_take_no_placeholders(call: dict[str, object]) -> None:
    with pytest.raises(InvalidReaction, match="a name cannot have placeholders"):
        filled(**call)


def test_a_call_without_placeholders_is_not_compiled_at_all() -> None:
    call = HttpParams("https://e.test/x?y", headers=(("X", "{ {"),), body=Body(BodyKind.RAW, "}}"))
    assert compile_call(call) is None


def test_documents_keep_numbers_and_order_when_they_are_written_anew() -> None:
    text = '{"b":1.0,"a":[1e5,-0,12345678901234567890,"☃",null,false],"c":{}}'
    assert encode_exactly(decode_exactly(text.encode())) == text


def test_every_placeholder_on_the_page_about_them_can_be_read() -> None:
    page = (Path(__file__).parents[2] / "docs" / "templates.md").read_text(encoding="utf-8")
    found = re.findall(r"\{\{ [^…]*? \}\}", page)
    assert len(found) > 5
    for each in found:
        compile_template(each, "page")
