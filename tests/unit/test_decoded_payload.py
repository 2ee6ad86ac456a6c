"""Decoding of payloads for placeholders."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.engine.runners.prepared_calls import prepare
from delivery.message.storage.exact_json import _encode_slowly, decode_exactly, encode_exactly
from delivery.message.template.decoded_payload import DecodedPayload, Missing
from delivery.message.template.filling import Facts
from delivery.models import Body, BodyKind, HttpParams
from delivery.settings import HttpSettings

if TYPE_CHECKING:
    from types import FrameType

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

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(values)
def test_both_encoders_of_exact_values_agree(value: object) -> None:
    exact = decode_exactly(json.dumps(value, allow_nan=True).replace("Infinity", "1e999").encode())
    assert encode_exactly(exact) == _encode_slowly(exact)


@pytest.mark.parametrize(
    "number",
    ["1.10", "-0", "-0.0", "0", "1e400", "1E2", "12345678901234567890123", "9" * 5_000, "7", "-7"],
)
def test_numbers_retain_their_notation(number: str) -> None:
    payload = DecodedPayload(f'{{"a": {{"b": [1, {number}]}}, "date": "2026-01-02 -0"}}'.encode())
    assert str(payload.at(("a", "b", 1))) == number
    written = payload.at(("a",))
    assert not isinstance(written, Missing)
    assert encode_exactly(written) == f'{{"b":[1,{number}]}}'


def test_a_payload_is_decoded_once_for_all_placeholders() -> None:
    payload = orjson.dumps(
        {"token": "secret-value", "price": 1.5, "rows": [{"id": n, "x": "y"} for n in range(50)]}
    )
    content = {
        f"field{n}": ["{{ event.price }}", f"{{{{ event.rows[{n}] | json }}}}"] for n in range(50)
    }
    headers = (("X-Name", "{{ event.token }}"), ("X-Price", "{{ event.price | json }}"))
    call = prepare(
        HttpParams(
            "http://h.test/{{ event.rows[1].id }}",
            headers=headers,
            body=Body(BodyKind.JSON, content),
        ),
        HttpSettings(),
    )
    decoded = {"quickly": 0, "exactly": 0}

    def count(frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_call" and argument is orjson.loads:
            decoded["quickly"] += 1
        elif event == "call" and frame.f_code is json.JSONDecoder.raw_decode.__code__:
            decoded["exactly"] += 1

    sys.setprofile(count)
    try:
        rendered = call.render_for(FACTS, "msg_1", 1, payload)
    finally:
        sys.setprofile(None)
    assert rendered.head.startswith(b"POST /1 ")
    assert b"X-Price: 1.5\r\n" in rendered.head
    assert b"secret-value" not in rendered.stored_head
    assert decoded == {"quickly": 1, "exactly": 1}
