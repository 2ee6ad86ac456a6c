"""What every section of the settings has in common."""

from __future__ import annotations

from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

__all__ = ["EnvironmentText", "Section", "alternatives"]


class EnvironmentText(str):
    """A value read from the environment, where numbers can only be written as text."""

    __slots__ = ()


def alternatives(annotation: Any) -> tuple[Any, ...]:
    """`int` for `int`; `float` and `None` for `float | None`."""
    if get_origin(annotation) in {Union, UnionType}:
        return get_args(annotation)
    return (annotation,)


class Section(BaseModel):
    """A group of settings: frozen, and without room for keys it does not know."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _of_its_own_type(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse `"5"` and `true` for a number, which pydantic alone would convert."""
        if type(value) is EnvironmentText:
            return str(value)
        allowed = alternatives(cls.model_fields[str(info.field_name)].annotation)
        if isinstance(value, bool) and bool not in allowed:
            message = "must not be a boolean"
            raise ValueError(message)
        if isinstance(value, str) and {int, float, bool} & set(allowed):
            message = "must be a boolean" if bool in allowed else "must be a number, not a text"
            raise ValueError(message)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and bool in allowed:
            message = "must be a boolean"
            raise ValueError(message)
        return value
