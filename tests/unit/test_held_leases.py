"""A lease is finished exactly when the last of its jobs is about to be written."""

from __future__ import annotations

from uuid import UUID

from delivery.engine.held_leases import HeldLeases

A, B = UUID(int=1), UUID(int=2)


def test_a_lease_is_finished_with_its_last_settlement() -> None:
    held = HeldLeases()
    held.opening(A)
    held.opened(A, 3)
    assert held.finished_with([A, A]) == []
    held.settled([A, A])
    assert held.finished_with([A]) == [A]
    held.settled([A])
    assert held.known() == set()


def test_a_claim_of_nothing_holds_nothing() -> None:
    held = HeldLeases()
    held.opening(A)
    assert held.known() == {A}
    assert held.open() == set()
    held.opened(A, 0)
    assert held.known() == set()


def test_results_of_a_lease_that_was_given_up_change_nothing() -> None:
    held = HeldLeases()
    held.opening(A)
    held.opened(A, 2)
    held.opened(B, 1)
    held.given_up(A)
    held.settled([A, A])
    assert held.finished_with([A, B]) == [B]
