"""Usage errors as one line with a correction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from cyclopts import (
    CoercionError,
    MissingArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
)

from delivery.cli.overview import COMMON_OPTIONS
from delivery.spelling import closest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cyclopts import CycloptsError

__all__ = ["explain_usage"]

_KINDS: Final = {"int": "a whole number", "float": "a number", "bool": "true or false"}
"""Kinds of values, by Python type."""


def explain_usage(error: CycloptsError) -> str:
    """Describe a usage error, and name the command's help."""
    chain = " ".join(["delivery", *(error.command_chain or ())])
    return f"{_explain(error, chain)}; see `{chain} --help`"


def _explain(error: CycloptsError, chain: str) -> str:
    if isinstance(error, UnknownCommandError):
        return _unknown_command(error)
    if isinstance(error, UnknownOptionError):
        known = [name for each in error.argument_collection if each.parse for name in each.names]
        return _unknown_option(error.token.keyword or error.token.value or "", [*known, "--help"])
    if isinstance(error, UnusedCliTokensError):
        return _unused(error.unused_tokens or ())
    if isinstance(error, MissingArgumentError) and error.argument is not None:
        return _missing(error, chain)
    if isinstance(error, CoercionError) and error.token is not None:
        kind = getattr(error.target_type, "__name__", "")
        if kind in _KINDS:
            name = error.token.keyword or (error.argument.name if error.argument else "the value")
            return f"{name} is {error.token.value!r}, but must be {_KINDS[kind]}"
    return " ".join(str(error).split()).removesuffix(", ...").rstrip(".")


def _unknown_command(error: UnknownCommandError) -> str:
    token = (error.unused_tokens or [""])[0]
    names: list[str] = list(error.app or ())
    if token.startswith("-"):
        name = token.partition("=")[0]
        if name in COMMON_OPTIONS:
            return f"{name} comes after the command"
        return _unknown_option(name, ["--help", "--version", *COMMON_OPTIONS, *names])
    commands = [name for name in names if not name.startswith("-")]
    near = closest(token, commands)
    if near is not None:
        return f"there is no command {token!r}; did you mean {near}?"
    return f"there is no command {token!r}; there are {', '.join(commands)}"


def _unknown_option(token: str, known: Iterable[str]) -> str:
    # The text after an equals sign may be a secret.
    name = token.partition("=")[0]
    if not name.startswith("-"):
        return "too many arguments for this command"
    near = closest(name, [option for option in known if option.startswith("-")])
    return f"unknown option {name}" + (f"; did you mean {near}?" if near else "")


def _unused(tokens: Sequence[str]) -> str:
    """Describe unused arguments, but name only options: other values may be secrets."""
    options = [token.partition("=")[0] for token in tokens if token.startswith("--")]
    if options:
        return f"unknown option {options[0]}"
    count = len(tokens)
    more = "1 argument more" if count == 1 else f"{count} arguments more"
    return f"{more} than this command takes"


def _missing(error: MissingArgumentError, chain: str) -> str:
    argument: Any = error.argument
    given = error.keyword or next((each.keyword for each in argument.tokens if each.keyword), None)
    if given is not None:
        return f"{given} needs a value"
    options = [name for name in error.unused_tokens or () if name.startswith("--")]
    near = closest(argument.name, options) if argument.name.startswith("--") else None
    if near is not None and near not in argument.names:
        return f"unknown option {near.partition('=')[0]}; did you mean {argument.name}?"
    return f"`{chain}` needs {argument.name}"
