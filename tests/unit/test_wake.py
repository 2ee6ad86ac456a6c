"""The text of a notification names lanes, and an unreadable one means any lane."""

from __future__ import annotations

from uuid import UUID

import pytest

from delivery.engine.wake import ANY_LANE, decode_lanes, encode_lanes


def test_lanes_come_back_as_they_were_given() -> None:
    lanes = {(UUID(int=1), 100), (UUID(int=2), 0)}
    source, decoded = decode_lanes(encode_lanes(lanes, "a1b2"))
    assert source == "a1b2"
    assert set(decoded or ()) == lanes


def test_too_many_lanes_become_any_lane_and_the_text_fits_into_a_notification() -> None:
    lanes = [(UUID(int=number), 32_767) for number in range(1, 102)]
    assert decode_lanes(encode_lanes(lanes, "a1b2")) == ("a1b2", None)
    assert len(encode_lanes(lanes[:100])) < 8000


@pytest.mark.parametrize("text", [ANY_LANE, "", "x", "1:2:3", "zz:1", f"{UUID(int=1).hex}:"])
def test_a_text_that_names_no_lanes_means_any_lane(text: str) -> None:
    assert decode_lanes(text)[1] is None
