"""Output: exact JSON for programs, and text that fits a terminal."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from delivery.cli.layout import Column, cut, fit
from delivery.models import (
    HttpMessage,
    HttpParams,
    Page,
    Reaction,
    ReactionState,
    StatusAction,
    TlsOptions,
    Trigger,
)
from delivery.rendering import dump_json, escape_controls, indent_json, iso_time, to_json

NOW = datetime(2026, 3, 1, 12, 0, 0, 1, tzinfo=UTC)
ID = UUID(int=1)

CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""Characters that control a terminal or reorder text."""

json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def rendered(value: Any) -> Any:
    return json.loads(dump_json(to_json(value)))


def test_json_of_a_trigger_preserves_its_payload() -> None:
    payload = b'{ "a": 123456789012345678901234567890,\r\n "b": 1e400 }'
    line = dump_json(to_json(Trigger(ID, "default", "a.b", payload, NOW, (ID,))))
    assert "123456789012345678901234567890" in line
    assert "1e400" in line
    assert "\n" not in line
    assert json.loads(line)["jobs"] == [str(ID)]


def test_times_are_converted_to_utc() -> None:
    assert iso_time(NOW) == "2026-03-01T12:00:00.000001Z"
    assert iso_time(NOW.astimezone(timezone(timedelta(hours=9)))) == iso_time(NOW)


def test_text_bodies_are_text_and_others_base64() -> None:
    text = rendered(HttpMessage((("A", "b"),), "é".encode(), 2, truncated=False))
    assert (text["body"], text["body_encoding"]) == ("é", "utf-8")
    assert text["headers"] == [["A", "b"]]
    binary = rendered(HttpMessage((), b"\xff\x00", 9, truncated=True))
    assert (binary["body"], binary["body_encoding"]) == ("/wA=", "base64")
    assert (binary["body_size"], binary["truncated"]) == (9, True)


def test_json_of_a_reaction_redacts_secrets() -> None:
    params = HttpParams(
        "https://example.com/",
        headers=(("Authorization", "Bearer hunter2"), ("X-Plain", "shown")),
        status_actions=(("404", StatusAction.FAIL),),
        tls=TlsOptions(ca="CA", client_certificate="CERT", client_key="hunter2"),
        secrets=("whsec_hunter2",),
    )
    reaction = Reaction(
        id=ID,
        tenant_id="default",
        area_id=None,
        name="n",
        event_types=("*",),
        condition=None,
        params=params,
        priority=100,
        state=ReactionState.ENABLED,
        state_reason=None,
        version=1,
        created_at=NOW,
        updated_at=NOW,
    )
    shown = rendered(Page((reaction,), None))["items"][0]
    assert "hunter2" not in json.dumps(shown)
    assert shown["params"]["headers"] == [["Authorization", "***"], ["X-Plain", "shown"]]
    assert shown["params"]["status_actions"] == {"404": "fail"}
    assert shown["params"]["tls"]["client_key"] == "***"
    assert shown["state"] == "enabled"


@given(json_values)
def test_indentation_changes_only_whitespace(value: Any) -> None:
    compact = json.dumps(value, separators=(",", ":"))
    indented = indent_json(compact)
    assert indented is not None
    assert json.loads(indented) == value
    # JSON strings contain no line ends, so this removes exactly the indentation.
    assert re.sub(r'\n *|("(?:[^"\\]|\\.)*":) ', r"\1", indented) == compact


def test_invalid_json_is_not_indented() -> None:
    assert indent_json(b"<html>") is None
    assert indent_json(b"\xff") is None
    assert indent_json("[" * 100_000) is None


@given(st.text())
def test_output_cannot_control_a_terminal(text: str) -> None:
    shown = escape_controls(text)
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", shown)


def test_narrow_tables_truncate_then_omit_columns_then_use_blocks() -> None:
    columns = [Column("ID"), Column("NAME", flexible=5), Column("URL", rank=1, flexible=6)]
    rows = [["1234567890", "a long name", "https://example.com/"]]
    assert fit(columns, rows, None) == [(0, 10), (1, 11), (2, 20)]
    assert fit(columns, rows, 80) == [(0, 10), (1, 11), (2, 20)]
    assert fit(columns, rows, 30) == [(0, 10), (1, 10), (2, 6)]
    assert fit(columns, rows, 20) == [(0, 10), (1, 8)]
    assert fit(columns, rows, 12) is None


@given(st.text(st.characters(min_codepoint=32)), st.integers(2, 40), st.booleans())
def test_a_cell_has_exactly_its_width(text: str, width: int, right: bool) -> None:  # noqa: FBT001
    text = escape_controls(text)
    assert cell_len(cut(text, width, right=right)) == width


@given(
    st.dictionaries(st.text(), st.text() | st.integers(-9, 9))
    | st.text(st.characters(exclude_categories=[])),
    st.booleans(),
)
def test_any_value_is_valid_json_that_cannot_control_a_terminal(
    value: Any,
    ascii_only: bool,  # noqa: FBT001
) -> None:
    line = dump_json({"value": value}, ascii_only=ascii_only)
    assert not CONTROLS.search(line)
    assert line.isascii() or not ascii_only
    line.encode()
    shown = json.loads(line)["value"]
    if isinstance(value, str):
        assert shown == "".join(
            "\ufffd" if "\ud800" <= each <= "\udfff" else each for each in value
        )
    else:
        assert shown == value


def test_control_characters_in_a_payload_are_escaped() -> None:
    payload = '{"a": "\x9b31m \x7f \u202e 😀"}'.encode()
    trigger = Trigger(ID, "default", "a.b", payload, NOW, ())
    for ascii_only in (False, True):
        line = dump_json(to_json(trigger), ascii_only=ascii_only)
        assert not CONTROLS.search(line)
        assert json.loads(line)["payload"] == json.loads(payload)
