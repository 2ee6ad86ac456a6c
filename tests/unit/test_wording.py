"""The wording of numbers in messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delivery.cli.layout import short_reason
from delivery.wording import counted, is_or_are, plain_number, round_milliseconds


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2_592_000.0, "2592000"),
        (31_536_000, "31536000"),
        (0.5, "0.5"),
        (0.00001, "0.00001"),
        (1_234_567.5, "1234567.5"),
        (0.1 + 0.2, "0.3"),
        (0.0, "0"),
        (-3.0, "-3"),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
    ],
)
def test_a_number_is_written_without_an_exponent(value: float, text: str) -> None:
    assert plain_number(value) == text


@given(st.floats(min_value=1e-9, max_value=1e14))
def test_a_number_is_written_precisely(value: float) -> None:
    text = plain_number(value)
    assert "e" not in text
    assert float(text) == pytest.approx(value, rel=1e-8)


def test_nouns_and_verbs_agree_with_their_number() -> None:
    assert [counted(count, "job") for count in (0, 1, 2, 1_200)] == [
        *("0 jobs", "1 job", "2 jobs", "1,200 jobs")
    ]
    assert counted(2, "retry", "retries") == "2 retries"
    assert [is_or_are(count) for count in (0, 1, 2)] == ["are", "is", "are"]


@pytest.mark.parametrize(
    ("value", "rounded"),
    [(1234.5678, 1234.6), (12.345678, 12.3), (1.2345, 1.23), (0.12345, 0.123), (None, None)],
)
def test_milliseconds_are_rounded_to_three_digits(
    value: float | None, rounded: float | None
) -> None:
    assert round_milliseconds(value) == rounded


@pytest.mark.parametrize(
    ("error", "endpoint", "reason"),
    [
        (
            "cannot connect: 127.0.0.1 port 1: Connection refused",
            "http://127.0.0.1:1/",
            "Connection refused",
        ),
        (
            "no-such-host.invalid cannot be resolved: Name or service not known",
            "http://no-such-host.invalid/hook",
            "Name or service not known",
        ),
        ("a.example: closed the connection", "https://a.example/x", "closed the connection"),
        ("the timeout of 5 s expired", "https://a.example/x", "the timeout of 5 s expired"),
        ("a.example is not allowed", "https://a.example/x", "a.example is not allowed"),
        (None, "https://a.example/x", ""),
    ],
)
def test_a_reason_does_not_repeat_its_endpoint(
    error: str | None, endpoint: str, reason: str
) -> None:
    assert short_reason(error, endpoint) == reason
