"""A payload that is decoded once, on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from delivery.message.request.payload import decode_payload
from delivery.message.storage.exact_json import ExactValue, decode_exactly

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MISSING", "DecodedPayload", "Missing", "step_into"]


class Missing:
    """Absence of a value; null is a value."""

    __slots__ = ()


MISSING: Final = Missing()


class DecodedPayload:
    """Value of a payload, decoded on first use.

    The first decoding is fast and yields numbers of Python, which suffices for most placeholders.
    A second decoding preserves the digits of numbers, only for placeholders that name a number.
    """

    __slots__ = ("_data", "_exact", "_value")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._value: object = MISSING
        self._exact: ExactValue | Missing = MISSING

    @property
    def is_decoded(self) -> bool:
        """True if the value is decoded."""
        return self._value is not MISSING

    @property
    def value(self) -> object:
        """Value; see `decode_payload`.

        Raises:
            ValueError: if the payload is not JSON.
        """
        if self._value is MISSING:
            self._value = decode_payload(self._data)
        return self._value

    def at(self, steps: Sequence[str | int]) -> ExactValue | Missing:
        """Return the value at a path, with the original digits of numbers.

        Raises:
            ValueError: if the payload is not JSON.
        """
        found: object = self.value
        for step in steps:
            found = step_into(found, step)
        if found is None or isinstance(found, (bool, str, Missing)):
            return found
        if isinstance(found, int) and found:
            # A zero may be -0 in the original.
            return found
        if isinstance(self._exact, Missing):
            self._exact = decode_exactly(self._data)
        exact: object = self._exact
        for step in steps:
            exact = step_into(exact, step)
        return cast("ExactValue | Missing", exact)


def step_into(value: object, step: str | int) -> object:
    """Return the member or element that a step of a path names."""
    if isinstance(step, int):
        if isinstance(value, list) and -len(value) <= step < len(value):
            return value[step]
    elif isinstance(value, dict):
        return value.get(step, MISSING)
    return MISSING
