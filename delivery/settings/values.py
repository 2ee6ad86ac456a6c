"""Conversion of setting values by type and bounds.

Conversion is strict: a string is not a number, and a number is not a boolean. Values of environment
variables and command-line options are exceptions, because these are always strings.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from math import isfinite
from pathlib import Path
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Literal,
    NoReturn,
    Union,
    get_args,
    get_origin,
)

from delivery.wording import counted, plain_number

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "BeforeValidator",
    "EnvironmentText",
    "Field",
    "Problem",
    "Refused",
    "Rules",
    "SecretStr",
    "alternatives",
    "read",
]

_NOTHING: Final = object()
_TRUE: Final = frozenset({"1", "true", "t", "yes", "y", "on"})
_FALSE: Final = frozenset({"0", "false", "f", "no", "n", "off"})


class EnvironmentText(str):
    """Value of an environment variable, where numbers are strings too."""

    __slots__ = ()


class SecretStr:
    """String that `repr` and `str` do not reveal."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def get_secret_value(self) -> str:
        """Return the plain string."""
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretStr) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "SecretStr('**********')"

    def __str__(self) -> str:
        return "**********"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Default and bounds of a setting."""

    default: Any = _NOTHING
    default_factory: Callable[[], Any] | None = None
    repr: bool = True
    """True if the `repr` of the section contains the value."""
    ge: float | None = None
    gt: float | None = None
    le: float | None = None
    lt: float | None = None
    min_length: int | None = None
    max_length: int | None = None

    def has_default(self) -> bool:
        """Return whether there is a default."""
        return self.default is not _NOTHING or self.default_factory is not None

    def make_default(self) -> Any:
        """Return the default."""
        return self.default if self.default_factory is None else self.default_factory()

    def check(self, value: Any) -> None:
        """Reject a value that is out of bounds.

        Raises:
            Refused: With the bound.
        """
        if self.ge is not None and value < self.ge:
            _refuse(f"must be greater than or equal to {plain_number(self.ge)}", value)
        if self.gt is not None and value <= self.gt:
            _refuse(f"must be greater than {plain_number(self.gt)}", value)
        if self.le is not None and value > self.le:
            _refuse(f"must be less than or equal to {plain_number(self.le)}", value)
        if self.lt is not None and value >= self.lt:
            _refuse(f"must be less than {plain_number(self.lt)}", value)
        if self.min_length is not None and len(value) < self.min_length:
            _refuse(f"must have at least {counted(self.min_length, 'character')}", value)
        if self.max_length is not None and len(value) > self.max_length:
            _refuse(f"must have at most {counted(self.max_length, 'character')}", value)


def Field(**rules: Any) -> Any:  # noqa: N802 - the name that such functions have elsewhere
    """Return the rules of a setting, for use as its default or in `Annotated`."""
    return Rules(**rules)


@dataclass(frozen=True, slots=True)
class BeforeValidator:
    """Function that converts a value before its type is checked."""

    function: Callable[[object], object]


@dataclass(frozen=True, slots=True)
class Problem:
    """Problem with a value."""

    text: str
    value: Any = _NOTHING
    """The value, unless the message contains it."""

    @property
    def says_its_value(self) -> bool:
        """True if there is no value to add to the message."""
        return self.value is _NOTHING


class Refused(ValueError):
    """Invalid value."""

    def __init__(self, text: str, value: Any = _NOTHING) -> None:
        super().__init__(text)
        self.problem = Problem(text, value)


def _refuse(text: str, value: Any) -> NoReturn:
    raise Refused(text, value)


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """Return the types of a union: `int` for `int`; `float` and `None` for `float | None`."""
    if get_origin(annotation) in {Union, UnionType}:
        return get_args(annotation)
    return (annotation,)


def read(annotation: Any, value: Any) -> Any:
    """Convert a value to the annotated type and check its bounds.

    Raises:
        Refused: With the required type or bound.
    """
    bounds: Sequence[Any] = ()
    while get_origin(annotation) is Annotated:
        annotation, *inner = get_args(annotation)
        bounds = (*inner, *bounds)
    for bound in bounds:
        if isinstance(bound, BeforeValidator):
            value = bound.function(value)
    several = alternatives(annotation)
    if len(several) > 1:
        if value is None and type(None) in several:
            return None
        (annotation,) = (each for each in several if each is not type(None))
        result = read(annotation, value)
    else:
        result = _read(annotation, value)
    for bound in bounds:
        if isinstance(bound, Rules):
            bound.check(result)
    return result


def _read(kind: Any, value: Any) -> Any:
    origin = get_origin(kind)
    if origin is tuple:
        return _read_tuple(get_args(kind)[0], value)
    if origin is Literal:
        return _read_word(get_args(kind), value)
    if kind in _READERS:
        return _READERS[kind](value)
    assert isinstance(kind, type), kind
    if issubclass(kind, Enum):
        return kind(_read_word([each.value for each in kind], value))
    message = f"settings cannot be of type {kind}"
    raise TypeError(message)


def _read_tuple(of: Any, value: Any) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        _refuse("must be a list", value)
    return tuple(read(of, item) for item in value)


def _read_word(words: Sequence[Any], value: Any) -> Any:
    given = value.value if isinstance(value, Enum) else value
    if given not in words:
        *first, last = map(repr, words)
        _refuse(f"must be {', '.join(first)}{' or ' if first else ''}{last}", value)
    return given


def _read_int(value: Any) -> int:
    if isinstance(value, str):
        try:
            return int(value)
        except ValueError:
            _refuse("must be a valid integer", value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        _refuse("must be a valid integer", value)
    return int(value)


def _read_float(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        _refuse("must be a valid number", value)
    if not isfinite(number):
        _refuse("must be a finite number", value)
    return number


def _read_bool(value: Any) -> bool:
    word = value.strip().lower() if isinstance(value, str) else value
    if word is True or word in _TRUE:
        return True
    if word is not False and word not in _FALSE:
        _refuse("must be a boolean, true or false", value)
    return False


def _read_text(value: Any) -> str:
    if not isinstance(value, str):
        _refuse("must be a text", value)
    return str(value)


def _read_path(value: Any) -> Path:
    if not isinstance(value, (str, Path)):
        _refuse("must be a path", value)
    return Path(value)


def _read_secret(value: Any) -> SecretStr:
    return value if isinstance(value, SecretStr) else SecretStr(_read_text(value))


_READERS: Final[dict[Any, Callable[[Any], Any]]] = {
    bool: _read_bool,
    int: _read_int,
    float: _read_float,
    str: _read_text,
    Path: _read_path,
    SecretStr: _read_secret,
}
