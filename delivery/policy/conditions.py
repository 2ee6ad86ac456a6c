"""Conditions of reactions: JMESPath expressions (jmespath.org) over the payload.

A condition matches if the expression's value is truthy in JMESPath. Falsy values are null, false,
and the empty string, list and object. The number 0 is truthy.
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import jmespath.functions
import jmespath.parser
from jmespath.exceptions import (
    EmptyExpressionError,
    JMESPathError,
    LexerError,
    ParseError,
)

from delivery.errors import InvalidReaction
from delivery.policy.interpreter import BoundedInterpreter

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Condition", "Evaluation", "compile_condition"]

_LONGEST: Final = 4_096
_DEEPEST: Final = 320
"""Maximum nesting depth of the syntax tree. A chain of `||` nests once per operand. Each level
takes at least two of the 1,000 stack frames that Python allows."""

_SIGNATURES: Final[dict[str, tuple[dict[str, Any], ...]]] = {
    name: entry["signature"] for name, entry in jmespath.functions.Functions.FUNCTION_TABLE.items()
}

_EVALUATION_ERRORS: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
)
"""Errors of an evaluation. JMESPathError is a ValueError. jmespath does not convert the others: for
example, `ceil` of 1e400 raises OverflowError."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Result of a condition for one payload. A condition with an error does not match."""

    matched: bool
    error: str | None = None
    steps: int = 0
    """Cost of the evaluation, see `delivery.policy.interpreter`. 0 for a cheap evaluation."""


_FEW_STEPS: Final = 100
_HOLDS: Final = Evaluation(matched=True)
_DOES_NOT_HOLD: Final = Evaluation(matched=False)


class Condition:
    """A compiled expression. Created by `compile_condition`."""

    __slots__ = ("_interpreter", "_tree", "expression")

    def __init__(self, expression: str, tree: dict[str, Any]) -> None:
        self.expression = expression
        self._tree = tree
        self._interpreter = BoundedInterpreter()

    def evaluate(self, value: object) -> Evaluation:
        """Evaluate the condition for a decoded payload.

        Returns errors in the result instead of raising them, also when the evaluation exceeds its
        budget of steps.
        """
        interpreter = self._interpreter
        interpreter.begin()
        try:
            result = interpreter.visit(self._tree, value)
        except _EVALUATION_ERRORS as error:
            return Evaluation(matched=False, error=_one_line(error), steps=interpreter.steps)
        if interpreter.steps > _FEW_STEPS:
            return Evaluation(matched=_is_true(result), steps=interpreter.steps)
        return _HOLDS if _is_true(result) else _DOES_NOT_HOLD


def compile_condition(expression: str) -> Condition:
    """Compile an expression.

    Raises:
        InvalidReaction: if the expression is not valid JMESPath, calls an unknown function, or
            calls a function with the wrong number of arguments. A syntax error names its position.
    """
    if len(expression) > _LONGEST:
        message = f"the condition has {len(expression)} characters; the maximum is {_LONGEST}"
        raise InvalidReaction(message)
    if "\0" in expression or any("\ud800" <= character <= "\udfff" for character in expression):
        message = "the condition contains a NUL or a lone surrogate, which cannot be stored"
        raise InvalidReaction(message)
    try:
        with warnings.catch_warnings():
            # jmespath warns about `text` in place of `"text"`: deprecated, but still valid.
            warnings.simplefilter("ignore", PendingDeprecationWarning)
            tree: dict[str, Any] = jmespath.parser.Parser().parse(expression).parsed
            _check_depth(tree)
            _check_functions(tree)
    except EmptyExpressionError:
        message = "the condition is empty; omit it to match every payload"
        raise InvalidReaction(message) from None
    except (JMESPathError, ValueError) as error:
        message = f"the condition is not valid JMESPath: {_reason(error)}"
        raise InvalidReaction(message) from None
    except RecursionError:
        message = "the condition is nested too deeply; simplify it"
        raise InvalidReaction(message) from None
    return Condition(expression, tree)


def _check_depth(tree: dict[str, Any]) -> None:
    level = [tree]
    for _ in range(_DEEPEST):
        level = [child for node in level for child in node["children"] if isinstance(child, dict)]
        if not level:
            return
    raise RecursionError


def _check_functions(tree: dict[str, Any]) -> None:
    for node in _nodes(tree):
        if node["type"] != "function_expression":
            continue
        name, given = node["value"], len(node["children"])
        signature = _SIGNATURES.get(name)
        if signature is None:
            message = f"unknown function {name}(); available: {', '.join(sorted(_SIGNATURES))}"
            raise ValueError(message)
        variadic = bool(signature and signature[-1].get("variadic"))
        if given < len(signature) or (given > len(signature) and not variadic):
            least = "at least " if variadic else ""
            message = f"{name}() takes {least}{len(signature)} arguments, but got {given}"
            raise ValueError(message)


def _nodes(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        # Only nodes are dicts: the children of a slice are its three numbers or None.
        waiting += [child for child in node["children"] if isinstance(child, dict)]


def _reason(error: Exception) -> str:
    if isinstance(error, LexerError):
        return f"{_one_line(error.message)} at character {error.lexer_position + 1}"
    if isinstance(error, ParseError):
        if error.lex_position >= len(error.expression or ""):
            return f"unexpected end after character {error.lex_position}"
        shown = json.dumps(error.token_value, ensure_ascii=False)
        return f"unexpected {shown} at character {error.lex_position + 1}"
    return _one_line(error)


def _one_line(error: object) -> str:
    text = " ".join((str(error) or type(error).__name__).split())
    return text if len(text) <= 200 else f"{text[:197]}..."  # noqa: PLR2004 - fits a log line


def _is_true(value: object) -> bool:
    return not (value is None or value is False or value in ("", [], {}))
