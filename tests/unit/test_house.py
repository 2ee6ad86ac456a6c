"""Rules of the project that no tool checks."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = sorted((ROOT / "delivery").rglob("*.py"))
ALL = sorted(
    path for folder in ("delivery", "tests", "bench") for path in (ROOT / folder).rglob("*.py")
)
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts): path
    for path in PACKAGE
    if path.stem != "__init__"
}
"""Modules of the package by name, without packages."""
SQL = re.compile(
    r"\b(SELECT\s.+\sFROM|SELECT\s+\w+\(|INSERT\s+INTO|UPDATE\s+\S+\s+SET|DELETE\s+FROM"
    r"|(CREATE|ALTER|DROP)\s+(TABLE|INDEX|SCHEMA|DATABASE|ROLE)|BEGIN;|LISTEN\s+\w)",
    re.DOTALL,
)
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}
LONGEST_FILE = 400
LONGEST_FUNCTION = 50
"""Lines of a body. Signatures and docstrings of public calls do not count: they are long."""


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def docstrings(tree: ast.Module) -> set[int]:
    """Return the ids of standalone strings, such as docstrings of modules and attributes."""
    return {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }


def length_of_body(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    statements = function.body[1:] if ast.get_docstring(function) else function.body
    return (statements[-1].end_lineno or 0) - statements[0].lineno + 1 if statements else 0


@pytest.mark.parametrize("path", PACKAGE, ids=named)
def test_sql_is_in_separate_files(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    prose = docstrings(tree)
    found = [
        f"line {node.lineno}: {node.value}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in prose
        and SQL.search(node.value)
    ]
    assert not found


@pytest.mark.parametrize("path", ALL, ids=named)
def test_no_file_is_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


@pytest.mark.parametrize("path", PACKAGE, ids=named)
def test_no_function_is_long(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    long = [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and length_of_body(node) > LONGEST_FUNCTION
    ]
    assert not long


def test_modules_have_specific_names() -> None:
    assert not [named(path) for path in ALL if path.stem in VAGUE_NAMES]


@pytest.mark.parametrize("path", PACKAGE, ids=named)
def test_every_module_has_a_docstring(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def imported_modules(path: Path) -> set[str]:
    """Return the modules of the package that a file imports, also for types only."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            found |= {node.module, *(f"{node.module}.{each.name}" for each in node.names)}
        elif isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
    return found & MODULES.keys()


def test_no_two_modules_import_each_other() -> None:
    imports = {name: imported_modules(path) for name, path in MODULES.items()}
    assert not [
        (name, other)
        for name, others in imports.items()
        for other in others
        if name < other and name in imports[other]
    ]


def test_nothing_is_exported_twice() -> None:
    for path in PACKAGE:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                names = ast.literal_eval(node.value)
                assert len(names) == len(set(names)), named(path)


def test_no_lock_file_names_a_host() -> None:
    """Resolved packages must not depend on the registry that was used."""
    for path in (ROOT / "requirements").glob("*.lock"):
        text = path.read_text(encoding="utf-8")
        assert "://" not in text
        assert "--hash=sha256:" in text
