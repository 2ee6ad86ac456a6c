"""Base class of the settings sections: checked, frozen fields."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    ClassVar,
    Literal,
    Self,
    TypeVar,
    dataclass_transform,
    get_args,
    get_origin,
    get_type_hints,
)

from delivery.settings.values import (
    BeforeValidator,
    EnvironmentText,
    Field,
    Problem,
    Refused,
    Rules,
    SecretStr,
    alternatives,
    read,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = [
    "BeforeValidator",
    "EnvironmentText",
    "Field",
    "InvalidValues",
    "SecretStr",
    "Section",
    "SettingField",
    "alternatives",
    "field_validator",
    "model_validator",
]

CheckT = TypeVar("CheckT")


class InvalidValues(ValueError):
    """Invalid values of a section.

    Attributes:
        problems: Problems by field name; `""` for the whole section.
    """

    def __init__(self, problems: Mapping[str, Problem]) -> None:
        texts = (f"{name}: {each.text}" if name else each.text for name, each in problems.items())
        super().__init__("; ".join(texts))
        self.problems = problems


class SettingField:
    """Field of a section: type, bounds and default."""

    def __init__(self, hint: Any, default: Any) -> None:
        self.hint = hint
        """Annotation as written."""
        self.metadata: tuple[Any, ...] = ()
        while get_origin(hint) is Annotated:
            hint, *inner = get_args(hint)
            self.metadata = (*inner, *self.metadata)
        self.annotation = hint
        """Type without bounds."""
        self.default = default if isinstance(default, Rules) else Rules(default=default)

    def get_default(self, *, call_default_factory: bool = True) -> Any:
        """Return the default."""
        del call_default_factory
        return self.default.make_default()


def field_validator(name: str) -> Callable[[CheckT], CheckT]:
    """Mark a class method that checks or converts the value of a field."""

    def mark(method: CheckT) -> CheckT:
        function: Any = getattr(method, "__func__", method)
        function.checks_field = name
        return method

    return mark


def model_validator(*, mode: Literal["after"]) -> Callable[[CheckT], CheckT]:
    """Mark a method that checks the whole section after its fields."""
    del mode

    def mark(method: CheckT) -> CheckT:
        method.checks_section = True  # type: ignore[attr-defined]
        return method

    return mark


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(Field,))
class Section:
    """Group of settings: frozen, and strict about unknown keys."""

    model_fields: ClassVar[dict[str, SettingField]] = {}
    """Fields by name, in order."""

    _checks: ClassVar[dict[str, str]] = {}
    _whole: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        hints = get_type_hints(cls, include_extras=True)
        cls.model_fields = {
            name: SettingField(hint, vars(cls)[name])
            for name, hint in hints.items()
            if not name.startswith("_") and get_origin(hint) is not ClassVar and name in vars(cls)
        }
        methods = {name: getattr(each, "__func__", each) for name, each in vars(cls).items()}
        cls._checks = {
            method.checks_field: name
            for name, method in methods.items()
            if hasattr(method, "checks_field")
        }
        cls._whole = tuple(n for n, method in methods.items() if hasattr(method, "checks_section"))

    def __init__(self, **values: Any) -> None:
        problems: dict[str, Problem] = {}
        for name, field in self.model_fields.items():
            if name not in values:
                object.__setattr__(self, name, field.get_default())
                continue
            try:
                object.__setattr__(self, name, self._value(name, field, values[name]))
            except Refused as refused:
                problems[name] = refused.problem
            except ValueError as error:
                problems[name] = Problem(str(error))
        problems |= {
            name: Problem("there is no such setting") for name in values.keys() - self.model_fields
        }
        if not problems:
            try:
                for check in self._whole:
                    getattr(self, check)()
            except ValueError as error:
                problems[""] = Problem(str(error))
        if problems:
            raise InvalidValues(problems)
        object.__setattr__(self, "_given", frozenset(values))

    def _value(self, name: str, field: SettingField, value: Any) -> Any:
        result = read(field.hint, _strictly_typed(field, value))
        check = self._checks.get(name)
        return result if check is None else getattr(self, check)(result)

    @property
    def model_fields_set(self) -> frozenset[str]:
        """Names of the fields with explicit values."""
        given: frozenset[str] = vars(self)["_given"]
        return given

    def model_copy(self, *, update: Mapping[str, Any] | None = None) -> Self:
        """Return a copy with other values, without checks."""
        copy = object.__new__(type(self))
        vars(copy).update(vars(self))
        vars(copy).update(update or {})
        vars(copy)["_given"] = self.model_fields_set | set(update or {})
        return copy

    def model_dump(self, *, mode: str = "python", exclude_unset: bool = False) -> dict[str, Any]:
        """Return the values by name; with `mode="json"` as JSON types."""
        return {
            name: _dumped(getattr(self, name), mode)
            for name in self.model_fields
            if not exclude_unset or name in self.model_fields_set
        }

    def __setattr__(self, name: str, value: Any) -> None:
        message = f"{type(self).__name__} is frozen; use model_copy(update={{{name!r}: …}})"
        raise AttributeError(message)

    def __delattr__(self, name: str) -> None:
        message = f"{type(self).__name__} is frozen"
        raise AttributeError(message)

    def _shown(self) -> Iterator[str]:
        for name, field in self.model_fields.items():
            if field.default.repr:
                yield f"{name}={getattr(self, name)!r}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self._shown())})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and all(
            getattr(self, name) == getattr(other, name) for name in self.model_fields
        )

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, name) for name in self.model_fields))


def _strictly_typed(field: SettingField, value: Any) -> Any:
    """Reject `"5"` and `true` for a number, unless the source contains only strings.

    Raises:
        Refused: with the required type.
    """
    if type(value) is EnvironmentText:
        return str(value)
    allowed = alternatives(field.annotation)
    if isinstance(value, bool) and bool not in allowed:
        message = "must not be a boolean"
        raise Refused(message)
    if isinstance(value, str) and {int, float, bool} & set(allowed):
        message = "must be a boolean" if bool in allowed else "must be a number, not a string"
        raise Refused(message)
    if isinstance(value, (int, float)) and not isinstance(value, bool) and bool in allowed:
        message = "must be a boolean"
        raise Refused(message)
    return value


def _dumped(value: Any, mode: str) -> Any:
    if isinstance(value, Section):
        return value.model_dump(mode=mode)
    if mode != "json":
        return value
    if isinstance(value, (tuple, list)):
        return [_dumped(each, mode) for each in value]
    if isinstance(value, Enum):
        return value.value
    return str(value) if isinstance(value, (Path, SecretStr)) else value
