"""Tests of the round-robin queue."""

from __future__ import annotations

from delivery.policy.round_robin import Rounds


def taken(rounds: Rounds[int]) -> list[tuple[object, object, int]]:
    found = []
    while (turn := rounds.take()) is not None:
        found.append(turn)
    return found


def test_tenants_are_served_in_turn_and_so_are_their_lanes() -> None:
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


def test_a_lane_or_tenant_can_be_served_out_of_turn() -> None:
    rounds: Rounds[int] = Rounds()
    for tenant, lane, item in [("a", "x", 1), ("a", "y", 2), ("b", "z", 3), ("a", "x", 4)]:
        rounds.add(tenant, lane, item)
    assert rounds.take_of_lane("a", "y") == 2
    assert not rounds.has("a", "y")
    assert rounds.take_of_tenant("b") == 3
    assert not rounds.has_tenant("b")
    assert [rounds.take(), rounds.take(), rounds.take()] == [("a", "x", 1), ("a", "x", 4), None]
