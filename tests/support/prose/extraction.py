"""Passages of prose in the project's files, each with its place and kind."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["DOCSTRINGS", "Kind", "Passage", "passages_of", "read_project"]

ROOT: Final = Path(__file__).parents[3]
FOLDERS: Final = ("delivery", "migrations", "config", "docs", "examples", "tests", "bench")
ROOT_FILES: Final = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "Makefile",
    "pyproject.toml",
)
GENERATED: Final = frozenset({"docs/cli.md", "docs/library.md"})
"""Files generated from prose that is counted at its source."""

_ROOMS_WITH_PARTS: Final = ("delivery", "tests")
_MESSAGES_IN: Final = ("delivery", "bench")
"""Rooms whose string literals are read by users; in tests they are data."""
_FEWEST_WORDS: Final = 3
"""Words of a string literal that counts as a message."""

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef

_PLAIN_WORD: Final = re.compile(r"(?<!\S)[A-Za-z][a-z'\u2019]*[,.;:]?(?!\S)")
_DIRECTIVE: Final = re.compile(r"#\s*(?:noqa|type:|pragma|fmt:|!/)")
_ARGUMENT_NAME: Final = re.compile(r"^( {8,})[a-z_]+(?=: )", re.MULTILINE)
_SQL_STRING: Final = re.compile(r"'((?:[^']|'')*)'")
_NOT_PROSE: Final = re.compile(
    r"^```.*?^```|<!-- prose: off -->.*?<!-- prose: on -->"
    r"|``[^`]*``|`[^`]*`|\]\([^)\s]*\)|https?://\S+",
    re.DOTALL | re.MULTILINE,
)


class Kind(StrEnum):
    """The kinds of prose."""

    MODULE = "module docstring"
    CLASS = "class docstring"
    FUNCTION = "function docstring"
    PROPERTY = "property docstring"
    TEST = "test docstring"
    ATTRIBUTE = "attribute docstring"
    COMMENT = "comment"
    MESSAGE = "message"
    TEST_NAME = "test name"
    SQL = "SQL"
    MARKDOWN = "Markdown"


DOCSTRINGS: Final = frozenset(
    {Kind.MODULE, Kind.CLASS, Kind.FUNCTION, Kind.PROPERTY, Kind.TEST, Kind.ATTRIBUTE}
)


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of prose; code, addresses and placeholders in it are replaced by `…`."""

    path: str
    line: int
    kind: Kind
    text: str

    @property
    def room(self) -> str:
        """Room that the file belongs to."""
        return room_of(self.path)


def room_of(path: str) -> str:
    """Return the room of a file: the part of the project that is judged as one."""
    folders = path.split("/")[:-1]
    if not folders:
        return "root"
    return "/".join(folders[:2] if folders[0] in _ROOMS_WITH_PARTS else folders[:1])


@lru_cache(maxsize=1)
def read_project() -> tuple[Passage, ...]:
    """Read all prose of the project."""
    files = [ROOT / name for name in ROOT_FILES]
    for folder in FOLDERS:
        files += sorted(path for path in (ROOT / folder).rglob("*") if path.is_file())
    return tuple(
        passage
        for file in files
        if (path := file.relative_to(ROOT).as_posix()) not in GENERATED
        and "node_modules" not in path
        for passage in passages_of(path, file)
    )


def passages_of(path: str, file: Path) -> list[Passage]:
    """Extract the prose of one file; none, if the file is of another sort than those with prose.

    Args:
        path: The path within the project, which decides the room.
        file: The file to read.
    """
    suffix = file.suffix
    if suffix not in {".py", ".sql", ".md", ".toml"} and file.name != "Makefile":
        return []
    source = file.read_text(encoding="utf-8")
    if suffix == ".py":
        found: Iterable[tuple[int, Kind, str]] = _python(path, source)
    elif suffix == ".sql":
        found = _sql(source)
    elif suffix == ".md":
        found = _markdown(source)
    else:
        found = _hash_comments(source)
    return [
        Passage(path, line, kind, cleaned)
        for line, kind, text in found
        if re.search("[A-Za-z]", cleaned := _without_code(text))
    ]


def _without_code(text: str) -> str:
    """Replace code by `…`, and leave the line breaks where they are."""
    return _NOT_PROSE.sub(lambda found: "…" + "\n" * found[0].count("\n"), text)


def _python(path: str, source: str) -> Iterator[tuple[int, Kind, str]]:
    tree = ast.parse(source)
    docstrings: set[int] = set()
    for constant, kind in _docstrings(tree):
        docstrings.add(id(constant))
        yield constant.lineno, kind, _ARGUMENT_NAME.sub(r"\1…", str(constant.value))
    for node in ast.walk(tree):
        if isinstance(node, Function) and node.name.startswith("test_"):
            yield node.lineno, Kind.TEST_NAME, node.name.removeprefix("test_").replace("_", " ")
    yield from _python_comments(source)
    if path.startswith(_MESSAGES_IN):
        for line, text in _strings(tree, docstrings):
            if len(_PLAIN_WORD.findall(text)) >= _FEWEST_WORDS:
                yield line, Kind.MESSAGE, text


def _docstrings(tree: ast.Module) -> Iterator[tuple[ast.Constant, Kind]]:
    """Find the strings that are statements: the first of a body, and those after attributes."""
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Module, ast.ClassDef, Function)):
            continue
        for position, statement in enumerate(node.body):
            if (
                isinstance(statement, ast.Expr)
                and isinstance(statement.value, ast.Constant)
                and isinstance(statement.value.value, str)
            ):
                yield statement.value, Kind.ATTRIBUTE if position else _kind_of(node)


def _kind_of(node: ast.Module | ast.ClassDef | Function) -> Kind:
    if isinstance(node, ast.Module):
        return Kind.MODULE
    if isinstance(node, ast.ClassDef):
        return Kind.CLASS
    if node.name.startswith("test_"):
        return Kind.TEST
    decorators = " ".join(ast.unparse(each) for each in node.decorator_list)
    # A fixture is used as a value, as a property is.
    is_value = "property" in decorators or "fixture" in decorators
    return Kind.PROPERTY if is_value else Kind.FUNCTION


def _python_comments(source: str) -> Iterator[tuple[int, Kind, str]]:
    """Find the comments; full-line comments on consecutive lines make one passage."""
    block: list[str] = []
    first = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        line = token.start[0]
        text = token.string
        if _DIRECTIVE.match(text):
            # The reason of a directive is prose: `noqa: X - the reason`.
            _, _, text = text.partition(" - ")
        alone = token.line.lstrip().startswith("#")
        if block and (not alone or line != first + len(block)):
            yield first, Kind.COMMENT, "\n".join(block)
            block = []
        if not block:
            first = line
        block.append(text.lstrip("# "))
        if not alone:
            yield first, Kind.COMMENT, "\n".join(block)
            block = []
    if block:
        yield first, Kind.COMMENT, "\n".join(block)


def _strings(tree: ast.AST, left_out: set[int]) -> Iterator[tuple[int, str]]:
    """Find the string literals, with `…` for the placeholders of f-strings."""
    ignored = set(left_out)
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            ignored |= {id(part) for part in node.values}
            parts = (
                str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values
            )
            yield node.lineno, "".join(parts)
        elif (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in ignored
        ):
            yield node.lineno, node.value


def _hash_comments(source: str) -> Iterator[tuple[int, Kind, str]]:
    block: list[str] = []
    first = 0
    for line, text in enumerate([*source.splitlines(), ""], start=1):
        alone = text.lstrip().startswith("#")
        if block and not alone:
            yield first, Kind.COMMENT, "\n".join(block)
            block = []
        if alone:
            first = first if block else line
            block.append(text.lstrip("# "))
        elif "# " in text:
            yield line, Kind.COMMENT, text.rpartition("# ")[2]


def _sql(source: str) -> Iterator[tuple[int, Kind, str]]:
    block: list[str] = []
    first = 0
    for line, text in enumerate([*source.splitlines(), ""], start=1):
        code, dashes, comment = text.partition("--")
        alone = bool(dashes) and not code.strip()
        if block and not alone:
            yield first, Kind.SQL, "\n".join(block)
            block = []
        if alone:
            first = first if block else line
            block.append(comment.strip())
            continue
        if dashes:
            yield line, Kind.SQL, comment.strip()
        for found in _SQL_STRING.finditer(code):
            if len(_PLAIN_WORD.findall(found[1])) >= _FEWEST_WORDS:
                yield line, Kind.SQL, found[1]


def _markdown(source: str) -> Iterator[tuple[int, Kind, str]]:
    """Split a page into its paragraphs."""
    line = 1
    for part in re.split(r"(\n[ \t]*\n)", _without_code(source)):
        if part.strip():
            yield line, Kind.MARKDOWN, part
        line += part.count("\n")
