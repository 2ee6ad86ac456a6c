"""A lease ends with the last settlement of its jobs."""

from __future__ import annotations

from uuid import UUID

from delivery.queue.held_leases import HeldLeases

A, B = UUID(int=1), UUID(int=2)
J, K, L = UUID(int=11), UUID(int=12), UUID(int=13)


def test_a_lease_is_finished_with_its_last_settlement() -> None:
    held = HeldLeases()
    held.opening(A)
    held.opened(A, [J, K, L])
    assert held.finished_with([(A, J), (A, K)]) == []
    held.settled([(A, J), (A, K)])
    assert held.finished_with([(A, L)]) == [A]
    held.settled([(A, L)])
    assert held.known() == set()


def test_an_empty_claim_holds_no_lease() -> None:
    held = HeldLeases()
    held.opening(A)
    assert held.known() == {A}
    assert held.open() == set()
    held.opened(A, [])
    assert held.known() == set()


def test_results_of_a_released_lease_have_no_effect() -> None:
    held = HeldLeases()
    held.opening(A)
    held.opened(A, [J, K])
    held.opened(B, [L])
    held.given_up(A)
    held.settled([(A, J), (A, K)])
    assert held.finished_with([(A, J), (B, L)]) == [B]


def test_a_second_settlement_of_a_job_does_not_finish_a_lease_with_another_job() -> None:
    held = HeldLeases()
    held.opened(A, [J, K])
    assert held.finished_with([(A, J), (A, J)]) == []
    held.settled([(A, J), (A, J)])
    assert held.known() == {A}


def test_unsettled_jobs_that_no_call_holds_are_forgotten() -> None:
    held = HeldLeases()
    held.opening(B)
    held.opened(A, [J, K, L])
    held.begun(A, K)
    assert held.forgotten({(A, J), (A, L)}) == {(A, K)}
    assert held.has_begun(A, K)
    assert not held.has_begun(A, J)
    held.settled([(A, K)])
    assert held.forgotten({(A, J), (A, L)}) == set()
