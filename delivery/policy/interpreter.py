"""JMESPath interpreter with a budget of steps for each evaluation.

A short expression can require any amount of work: `[@, @][]` doubles a list, and a pipe repeats the
doubling. The interpreter therefore counts steps. Visiting a node costs one step. Reading, copying
or creating a list, object or string costs more steps in proportion to its size. A step takes about
a third of a microsecond.

Values can share parts, so a value of few objects can be huge when serialized or compared. `_weight`
counts each shared part every time it occurs, up to the remaining budget.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import jmespath.functions
import jmespath.visitor
from jmespath.exceptions import JMESPathError, JMESPathTypeError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MOST_STEPS", "BoundedInterpreter", "TooMuchWork"]

MOST_STEPS: Final = 100_000
"""Budget of one evaluation: enough to visit five nodes for each of 20,000 elements."""

_ELEMENTS_A_STEP: Final = 16
"""Elements copied in one step."""
_CHARACTERS_A_STEP: Final = 64
_WORD_BITS: Final = 64
_WORDS_SQUARED_A_STEP: Final = 128
"""Quadratic cost of converting an integer to decimal. 4,300 digits, the longest integer that the
JSON parser accepts, cost about 400 steps."""

Node = dict[str, Any]


class TooMuchWork(JMESPathError):  # type: ignore[misc]
    """Error of an evaluation that exceeds `MOST_STEPS`."""

    def __init__(self) -> None:
        super().__init__(
            f"the evaluation takes more than {MOST_STEPS:,} steps on this payload; simplify the"
            " condition or filter the elements first"
        )


class BoundedInterpreter(jmespath.visitor.TreeInterpreter):  # type: ignore[misc]
    """Interpreter that evaluates a syntax tree within `MOST_STEPS`.

    Call `begin` before each evaluation.
    """

    def __init__(self) -> None:
        super().__init__()
        self._left = MOST_STEPS
        self._functions = _BoundedFunctions(self.charge)
        self._visitors: dict[str, Callable[[Node, Any], Any]] = {
            name.removeprefix("visit_"): getattr(self, name)
            for name in dir(self)
            if name.startswith("visit_")
        }

    @property
    def steps(self) -> int:
        """Steps used since `begin`."""
        return MOST_STEPS - max(self._left, 0)

    def begin(self) -> None:
        """Reset the budget for a new evaluation."""
        self._left = MOST_STEPS

    def charge(self, steps: int) -> int:
        """Deduct steps from the budget and return the remainder.

        Raises:
            TooMuchWork: if the budget is exceeded.
        """
        self._left -= steps
        if self._left < 0:
            raise TooMuchWork
        return self._left

    def visit(self, node: Node, value: Any) -> Any:
        """Evaluate one node."""
        # `charge` is inlined: this method runs for every node.
        self._left -= 1
        if self._left < 0:
            raise TooMuchWork
        return self._visitors[node["type"]](node, value)

    def visit_comparator(self, node: Node, value: Any) -> Any:
        """Compare two values."""
        first, second = node["children"]
        left, right = self.visit(first, value), self.visit(second, value)
        if isinstance(left, (str, list, dict)) and type(left) is type(right):
            self._charge_comparison(left, right)
        operation: Callable[[Any, Any], Any] = self.COMPARATOR_FUNC[node["value"]]
        if node["value"] in self._EQUALITY_OPS or (_is_ordered(left) and _is_ordered(right)):
            return operation(left, right)
        return None

    def visit_flatten(self, node: Node, value: Any) -> Any:
        """Flatten a list of lists by one level."""
        base = self.visit(node["children"][0], value)
        if not isinstance(base, list):
            return None
        merged: list[Any] = []
        for element in base:
            if isinstance(element, list):
                self.charge(1 + len(element) // _ELEMENTS_A_STEP)
                merged.extend(element)
            else:
                merged.append(element)
        self.charge(len(base) // _ELEMENTS_A_STEP)
        return merged

    def visit_slice(self, node: Node, value: Any) -> Any:
        """Copy a slice of a list."""
        if isinstance(value, list):
            self.charge(len(value) // _ELEMENTS_A_STEP)
        return super().visit_slice(node, value)

    def _charge_comparison(self, left: Any, right: Any) -> None:
        if isinstance(left, str):
            self.charge(min(len(left), len(right)) // _CHARACTERS_A_STEP)
        elif len(left) == len(right):
            # Values of different lengths compare unequal without a walk. The cost of a walk is
            # bounded by either value.
            self.charge(_weight(left, self.charge(0)))


class _BoundedFunctions(jmespath.functions.Functions):  # type: ignore[misc]
    """JMESPath functions that charge for the values they read and create.

    Args:
        charge: `BoundedInterpreter.charge`.
    """

    def __init__(self, charge: Callable[[int], int]) -> None:
        self._charge = charge

    def call_function(self, function_name: str, resolved_args: list[Any]) -> Any:
        """Charge for the arguments and call a function.

        Raises:
            TooMuchWork: if the call would exceed the budget.
            JMESPathError: if an argument has the wrong type. The message does not quote the
                argument, which is part of the payload and can have any size.
        """
        for argument in resolved_args:
            # Most arguments are small; skipping them saves a call.
            if isinstance(argument, (str, list, dict)) and len(argument) >= _ELEMENTS_A_STEP:
                each = _CHARACTERS_A_STEP if isinstance(argument, str) else _ELEMENTS_A_STEP
                self._charge(len(argument) // each)
        cost = _COSTS.get(function_name)
        if cost is not None:
            self._charge(cost(resolved_args, self._charge(0)))
        try:
            return super().call_function(function_name, resolved_args)
        except JMESPathTypeError as error:
            expected = ", ".join(error.expected_types)
            message = f"{function_name}() takes {expected}, but got {error.actual_type}"
            raise JMESPathError(message) from None


def _is_ordered(value: Any) -> bool:
    return isinstance(value, (int, float, str)) and not isinstance(value, bool)


def _weight(value: Any, allowed: int) -> int:
    """Return the steps needed to walk a value; stop counting above `allowed`."""
    total = 0
    waiting: list[Any] = [value]
    while waiting:
        item = waiting.pop()
        total += 1
        if isinstance(item, str):
            total += len(item) // _CHARACTERS_A_STEP
        elif isinstance(item, (list, dict)):
            if len(item) > allowed - total:
                return allowed + 1
            if isinstance(item, dict):
                total += sum(map(len, item)) // _CHARACTERS_A_STEP
                waiting += item.values()
            else:
                waiting += item
        elif isinstance(item, int) and item.bit_length() > _WORD_BITS:
            # Python converts an integer to decimal in quadratic time.
            total += (item.bit_length() // _WORD_BITS) ** 2 // _WORDS_SQUARED_A_STEP
        if total > allowed:
            return total
    return total


def _cost_of_join(arguments: list[Any], allowed: int) -> int:
    separator, texts = arguments
    if not isinstance(separator, str) or not isinstance(texts, list):
        return 0
    joined = sum(len(text) for text in texts if isinstance(text, str))
    return min((joined + len(separator) * len(texts)) // _CHARACTERS_A_STEP, allowed + 1)


def _cost_of_writing(arguments: list[Any], allowed: int) -> int:
    return 0 if isinstance(arguments[0], str) else _weight(arguments[0], allowed)


def _cost_of_contains(arguments: list[Any], allowed: int) -> int:
    subject, wanted = arguments
    if not isinstance(subject, list):
        return 0
    if isinstance(wanted, str):
        return len(wanted) // _CHARACTERS_A_STEP * len(subject)
    # The cost of comparing two lists or objects is bounded by either.
    return _weight(subject, allowed) if isinstance(wanted, (list, dict)) else 0


def _cost_of_reading(arguments: list[Any], allowed: int) -> int:
    elements = arguments[0]
    return _weight(elements, allowed) // 4 if isinstance(elements, list) else 0


def _cost_of_sort(arguments: list[Any], allowed: int) -> int:
    elements = arguments[0]
    if not isinstance(elements, list):
        return 0
    # Sorting n elements takes about log2(n) comparisons of each.
    return _weight(elements, allowed) * len(elements).bit_length() // 8


def _cost_of_sort_by(arguments: list[Any], _allowed: int) -> int:
    elements = arguments[0]
    return len(elements) if isinstance(elements, list) else 0


_COSTS: Final[dict[str, Callable[[list[Any], int], int]]] = {
    "avg": _cost_of_reading,
    "contains": _cost_of_contains,
    "join": _cost_of_join,
    "max": _cost_of_reading,
    "min": _cost_of_reading,
    "sort": _cost_of_sort,
    "sort_by": _cost_of_sort_by,
    "sum": _cost_of_reading,
    "to_string": _cost_of_writing,
}
"""Cost functions of the JMESPath functions that cost more than the length of their arguments."""
