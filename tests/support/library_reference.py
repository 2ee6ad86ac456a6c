"""Reference of the public names, generated from their docstrings, as in `docs/library.md`.

`python -m tests.support.library_reference > docs/library.md` updates the page.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
import textwrap
from enum import Enum
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, Final

import delivery
from delivery import testing
from delivery.errors import DeliveryError
from delivery.testing.protocol import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["described_names", "reference"]

NAMESPACES: Final = {
    "reactions": "delivery.service.reactions:Reactions",
    "triggers": "delivery.service.triggers:Triggers",
    "jobs": "delivery.service.jobs:Jobs",
    "logs": "delivery.service.logs:Logs",
    "secrets": "delivery.service.secrets:Secrets",
    "ids": "delivery.service.ids:Ids",
}
"""Attributes of an engine, and their classes."""
OPTIONS: Final = {
    "CallOptions": "delivery.service.calls:CallOptions",
    "ReactionChanges": "delivery.service.reaction_writer:ReactionChanges",
    "LogFilter": "delivery.service.logs:LogFilter",
}
"""Groups of keyword arguments, which methods take as `**name`."""

WIDTH: Final = 96
"""Longest line of code on the page."""

HEAD: Final = """\
<!-- Written by `python -m tests.support.library_reference`; change the docstrings instead. -->

# Library

All names of this page are attributes of `delivery`, unless a heading says otherwise. Methods of an
engine are asynchronous. Durations are in seconds, times are `datetime` objects with a time zone.
"""

_SECTION: Final = re.compile(r"^(Args|Returns|Raises|Attributes|Example):$", re.MULTILINE)
_ITEM: Final = re.compile(r"^(\w[\w, ]*): ", re.MULTILINE)


def reference() -> str:
    """Return the reference as Markdown."""
    names = sorted(delivery.__all__)
    values = {name: getattr(delivery, name) for name in names}
    functions = [name for name, value in values.items() if inspect.isfunction(value)]
    enums = [name for name in names if _is(values[name], Enum)]
    errors = [name for name in names if _is(values[name], DeliveryError)]
    classes = [name for name in names if name not in {*functions, *enums, *errors, "Engine"}]
    parts = [HEAD]
    parts += ["## Functions", *(_function(name, values[name], 3) for name in functions)]
    parts += ["## Engine", *_class("Engine", values["Engine"])]
    for name, source in NAMESPACES.items():
        parts += [f"## `engine.{name}`", *_class(f"engine.{name}", _load(source))]
    parts += ["## Keyword arguments", *(_record(name, _load(OPTIONS[name])) for name in OPTIONS)]
    parts += ["## Records", *(_record(name, values[name]) for name in classes)]
    parts += ["## Enumerations", *(_record(name, values[name]) for name in enums)]
    parts += ["## Errors", "[Errors](errors.md) has the remedies."]
    parts += [_error(name, values[name]) for name in errors]
    parts += ["## `delivery.testing`", *_testing(testing)]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def described_names(page: str) -> set[str]:
    """Return the names that have a heading."""
    return set(re.findall(r"^#{2,3} `?([\w.]+)", page, re.MULTILINE))


def _is(value: object, base: type) -> bool:
    return isinstance(value, type) and issubclass(value, base)


def _load(source: str) -> Any:
    module, _, name = source.partition(":")
    return getattr(importlib.import_module(module), name)


def _tree(value: Any) -> Any:
    return ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(value)))).body[0]


def _class(title: str, value: type) -> Iterator[str]:
    """Describe a class with its methods and properties."""
    yield _docstring(value)
    if title == "Engine":
        listed = "\n".join(f"- `engine.{name}`" for name in NAMESPACES)
        yield f"Its parts:\n\n{listed}"
    prefix = title if title.startswith("engine.") else title.lower()
    for name, member in vars(value).items():
        if not name.startswith("_") and isinstance(member, FunctionType):
            yield _function(f"{prefix}.{name}", member, 3)


def _function(name: str, value: Any, level: int) -> str:
    signature = _signature(name, _tree(value))
    return f"{'#' * level} `{name}`\n\n```python\n{signature}\n```\n\n{_docstring(value)}"


def _signature(name: str, node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Format a signature, one argument per line if it is long."""
    given = node.args
    plain = [*given.posonlyargs, *given.args]
    defaults = [None] * (len(plain) - len(given.defaults)) + list(given.defaults)
    arguments = [
        _argument(each, default)
        for each, default in zip(plain, defaults, strict=True)
        if each.arg != "self"
    ]
    if given.kwonlyargs:
        arguments.append("*")
        arguments += map(_argument, given.kwonlyargs, given.kw_defaults)
    if given.kwarg is not None:
        arguments.append(f"**{_argument(given.kwarg, None)}")
    is_generator = any(isinstance(each, ast.Yield) for each in ast.walk(node))
    keyword = "await " if isinstance(node, ast.AsyncFunctionDef) and not is_generator else ""
    keyword = "async with " if _is_context_manager(node) else keyword
    keyword = "async for … in " if is_generator and not _is_context_manager(node) else keyword
    returned = "" if node.returns is None else f" -> {_code(node.returns)}"
    line = f"{keyword}{name}({', '.join(arguments)}){returned}"
    if len(line) <= WIDTH:
        return line
    listed = "".join(f"    {argument},\n" for argument in arguments)
    return f"{keyword}{name}(\n{listed}){returned}"


def _argument(argument: ast.arg, default: ast.expr | None) -> str:
    typed = argument.arg
    if argument.annotation is not None:
        typed += f": {_code(argument.annotation)}"
    return typed if default is None else f"{typed} = {_code(default)}"


def _code(node: ast.expr) -> str:
    """Return source with the double quotes of the project's style."""
    return ast.unparse(node).replace("'", '"')


def _is_context_manager(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any("contextmanager" in ast.unparse(each) for each in node.decorator_list)


def _record(name: str, value: Any) -> str:
    """Describe a class with its fields, or an enumeration with its members."""
    rows = _rows(_attributes(_tree(value)), is_enum=_is(value, Enum))
    parts = [f"### `{name}`", _docstring(value), "\n".join(rows)]
    return "\n\n".join(part for part in parts if part)


def _attributes(node: ast.ClassDef) -> Iterator[tuple[str, str, str, str]]:
    """Find the name, type, default and docstring of each attribute of a class."""
    for position, statement in enumerate(node.body):
        following = node.body[position + 1] if position + 1 < len(node.body) else None
        text = ""
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            text = " ".join(str(following.value.value).split())
        if isinstance(statement, ast.AnnAssign):
            default = "" if statement.value is None else _default(statement.value)
            yield _code(statement.target), _code(statement.annotation), default, text
        elif isinstance(statement, ast.Assign):
            yield _code(statement.targets[0]), "", _code(statement.value), text


def _default(value: ast.expr) -> str:
    """Return a default; for `field(default=…)` the value within."""
    if isinstance(value, ast.Call) and ast.unparse(value.func) == "field":
        given = {each.arg: _code(each.value) for each in value.keywords}
        return given.get("default", "")
    return _code(value)


def _rows(attributes: Iterable[tuple[str, str, str, str]], *, is_enum: bool) -> list[str]:
    rows = []
    for name, kind, default, text in attributes:
        if name.startswith("_"):
            continue
        if is_enum:
            rows.append(f"- `{default}`" + (f": {text}" if text else ""))
        else:
            typed = f"{name}: {kind}" + (f" = {default}" if default else "")
            rows.append(f"- `{typed}`" + (f": {text}" if text else ""))
    return rows


def _error(name: str, value: type[DeliveryError]) -> str:
    base = value.__bases__[0].__name__
    return f"### `{name}`\n\nCode `{value.code}`, subclass of `{base}`. {_docstring(value)}"


def _testing(module: ModuleType) -> Iterator[str]:
    yield "Endpoints for tests, imported from `delivery.testing`."
    for name in sorted(module.__all__):
        value = getattr(module, name)
        if isinstance(value, type):
            yield _record(name, value)
            yield from _members(name, value)


def _members(name: str, value: type) -> Iterator[str]:
    """Describe the properties and methods of a class, without those that the package calls."""
    members = {
        each: member
        for each, member in vars(value).items()
        if not each.startswith("_") and not hasattr(Recorder, each)
    }
    properties = [
        f"- `{each}`: {' '.join((inspect.getdoc(member) or '').split())}"
        for each, member in members.items()
        if isinstance(member, property)
    ]
    if properties:
        yield "\n".join(properties)
    for each, member in members.items():
        if isinstance(member, FunctionType):
            yield _function(f"{name}.{each}", member, 4)


def _docstring(value: Any) -> str:
    """Convert a docstring to Markdown: sections to paragraphs, arguments to list items."""
    parts = _SECTION.split(inspect.getdoc(value) or "")
    text = [parts[0].strip()]
    for heading, body in zip(parts[1::2], parts[2::2], strict=True):
        content = textwrap.dedent(body.strip("\n")).strip()
        if heading == "Example":
            text.append(f"```python\n{content}\n```")
        elif heading == "Returns":
            text.append(f"Returns: {content}")
        else:
            text.append(f"{heading}:\n\n{_items(content)}")
    return "\n\n".join(text)


def _items(content: str) -> str:
    """Convert the entries of a section to list items; indented lines continue an entry."""
    entries = re.split(r"\n(?=\S)", content)
    return "\n".join(
        "- " + " ".join(_ITEM.sub(r"`\1`: ", entry, count=1).split()) for entry in entries
    )


if __name__ == "__main__":
    sys.stdout.write(reference())
