"""Tenants take turns, and the lanes of each."""

from __future__ import annotations

from delivery.policy.rounds import Rounds


def taken(rounds: Rounds[int]) -> list[tuple[object, object, int]]:
    found = []
    while (turn := rounds.take()) is not None:
        found.append(turn)
    return found


def test_tenants_and_their_lanes_take_turns() -> None:
    rounds: Rounds[int] = Rounds()
    for number in range(2):
        for lane in "xyz":
            rounds.add("busy", lane, number)
    rounds.add("quiet", "q", 0)
    rounds.add("quiet", "q", 1)
    assert len(rounds) == 8
    assert taken(rounds) == [
        ("busy", "x", 0),
        ("quiet", "q", 0),
        ("busy", "y", 0),
        ("quiet", "q", 1),
        ("busy", "z", 0),
        ("busy", "x", 1),
        ("busy", "y", 1),
        ("busy", "z", 1),
    ]
    assert len(rounds) == 0


def test_a_lane_that_may_not_have_its_turn_keeps_it() -> None:
    rounds: Rounds[int] = Rounds()
    rounds.add("a", "x", 1)
    rounds.add("a", "y", 2)
    assert rounds.take(lambda _, lane: lane == "y") == ("a", "y", 2)
    assert rounds.take(lambda *_: False) is None
    assert rounds.take() == ("a", "x", 1)
    assert rounds.take() is None
