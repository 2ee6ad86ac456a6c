"""Templates: texts with placeholders, `{{ event.order.id }}`, that are filled in for each job.

    placeholder  "{{" expression [ "|" "default" "(" literal ")" ] [ "|" "json" ] "}}"
    expression   a path, or a literal
    path         root ( "." name | "[" index "]" | "[" string "]" )*
    root         event | trigger | reaction | job
    literal      a JSON string, number, true, false or null

`event` is the trigger's payload. A path is looked up in JSON values only: there is nothing else it
could reach, and nothing is called. `default(…)` stands in for a value that is missing, or null
where a text is needed. `json` writes a value as JSON text. `{{ "{{" }}` gives the two braces.

Everything about a template but the values is checked when it is compiled.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn

from delivery.errors import InvalidReaction
from delivery.message.exact_json import ExactValue, decode_exactly, encode_exactly, kind_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "ROOTS",
    "Placeholder",
    "Template",
    "TemplateError",
    "compile_template",
    "has_placeholders",
]

ROOTS: Final = ("event", "trigger", "reaction", "job")

_OPEN: Final = "{{"
_CLOSE: Final = "}}"
_MOST_PLACEHOLDERS: Final = 200
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_INDEX: Final = re.compile(r"-?[0-9]{1,9}")
_STRING: Final = re.compile(r'"(?:[^"\\\x00-\x1f]|\\.)*"')
_LITERAL: Final = re.compile(
    r'"(?:[^"\\\x00-\x1f]|\\.)*"|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null'
)


class TemplateError(Exception):
    """A template cannot be filled in with the values there are; the text says why."""


class _Missing:
    """Stands for a value that there is not."""

    __slots__ = ()


_MISSING: Final = _Missing()


@dataclass(frozen=True, slots=True)
class Placeholder:
    """One `{{ … }}`."""

    source: str
    """As it was written."""
    root: str | None
    """None: `literal` is the value."""
    steps: tuple[str | int, ...] = ()
    literal: ExactValue = None
    default: ExactValue | _Missing = _MISSING
    as_json: bool = False

    def value(self, values: Mapping[str, ExactValue]) -> ExactValue:
        """The JSON value to put in its place.

        Raises:
            TemplateError: if it is missing and there is no default.
        """
        found = self.literal if self.root is None else self._find(values)
        if isinstance(found, _Missing):
            found = self.default
        if isinstance(found, _Missing):
            message = (
                f"{self.source} has no value: {self._reached(values)};"
                " add | default(…) if it may be missing"
            )
            raise TemplateError(message)
        return encode_exactly(found) if self.as_json else found

    def text(self, values: Mapping[str, ExactValue]) -> str:
        """The text to put in its place.

        Raises:
            TemplateError: if the value is missing, or null, and there is no default; or if it is a
                list or an object.
        """
        found = self.value(values)
        if found is None and not isinstance(self.default, _Missing):
            found = self.default
        if found is None:
            message = f"{self.source} is null; add | default(…) if it may be"
            raise TemplateError(message)
        if isinstance(found, bool):
            return "true" if found else "false"
        if isinstance(found, str):
            return str(found)
        message = f"{self.source} is {kind_of(found)}; name a value in it, or add | json"
        raise TemplateError(message)

    def _find(self, values: Mapping[str, ExactValue]) -> ExactValue | _Missing:
        assert self.root is not None
        found: ExactValue | _Missing = values.get(self.root, _MISSING)
        for step in self.steps:
            found = _step(found, step)
        return found

    def _reached(self, values: Mapping[str, ExactValue]) -> str:
        """How far the path leads."""
        assert self.root is not None
        reached = self.root
        found: ExactValue | _Missing = values.get(self.root, _MISSING)
        for step in self.steps:
            if isinstance(found, _Missing):
                break
            following = _step(found, step)
            shown = f"[{step}]" if isinstance(step, int) else f".{step}"
            if isinstance(following, _Missing):
                return f"{reached} is {kind_of(found)} without {shown}"[:300]
            found, reached = following, reached + shown
        return f"there is no {reached}"


def _step(value: ExactValue | _Missing, step: str | int) -> ExactValue | _Missing:
    if isinstance(step, int):
        if isinstance(value, list) and -len(value) <= step < len(value):
            return value[step]
    elif isinstance(value, dict):
        return value.get(step, _MISSING)
    return _MISSING


@dataclass(frozen=True, slots=True)
class Template:
    """A compiled text."""

    parts: tuple[str | Placeholder, ...]

    @property
    def single(self) -> Placeholder | None:
        """The placeholder, if the text is one and nothing else."""
        part = self.parts[0] if len(self.parts) == 1 else None
        return part if isinstance(part, Placeholder) else None

    def fill(
        self, values: Mapping[str, ExactValue], encode: Callable[[str], str] | None = None
    ) -> str:
        """The text with its values, each through `encode`.

        Raises:
            TemplateError: see `Placeholder.text`.
        """
        texts = []
        for part in self.parts:
            if isinstance(part, str):
                texts.append(part)
            else:
                text = part.text(values)
                texts.append(text if encode is None else encode(text))
        return "".join(texts)


def has_placeholders(text: str) -> bool:
    """Whether a text is to be filled in at all."""
    return _OPEN in text


def compile_template(text: str, where: str) -> Template:
    """Check a text and make it ready.

    Args:
        text: With or without placeholders.
        where: What it is, for errors, such as `url` or `headers.X-Order`.

    Raises:
        InvalidReaction: naming the place and what is wrong there.
    """
    parts: list[str | Placeholder] = []
    position = 0
    while True:
        opened = text.find(_OPEN, position)
        if opened < 0:
            break
        if opened > position:
            parts.append(text[position:opened])
        reader = _Reader(text, opened, where)
        parts.append(reader.placeholder())
        position = reader.position
    if position < len(text) or not parts:
        parts.append(text[position:])
    if len(parts) > 2 * _MOST_PLACEHOLDERS:
        message = f"{where} has too many placeholders; at most {_MOST_PLACEHOLDERS} are allowed"
        raise InvalidReaction(message)
    return Template(tuple(parts))


class _Reader:
    """Reads one placeholder."""

    def __init__(self, text: str, opened: int, where: str) -> None:
        self._text = text
        self._opened = opened
        self._where = where
        self.position = opened + len(_OPEN)

    def placeholder(self) -> Placeholder:
        """The placeholder that begins here; `position` is behind it then."""
        root: str | None = None
        steps: tuple[str | int, ...] = ()
        literal: ExactValue = None
        self._space()
        if self._text[self.position : self.position + 1] == '"':
            literal = self._literal()
        else:
            root, steps = self._path()
        default: ExactValue | _Missing = _MISSING
        as_json = False
        while self._takes("|"):
            name = self._take(_NAME, "a filter: default(…) or json")
            if name == "default" and isinstance(default, _Missing) and not as_json:
                self._expect("(")
                default = self._literal()
                self._expect(")")
            elif name == "json" and not as_json:
                as_json = True
            else:
                self._refuse(f"there is no filter {name} here; there are default(…) and json")
        self._expect(_CLOSE)
        source = self._text[self._opened : self.position]
        return Placeholder(source, root, steps, literal, default, as_json)

    def _path(self) -> tuple[str, tuple[str | int, ...]]:
        root = self._take(_NAME, f"one of {', '.join(ROOTS)}")
        if root not in ROOTS:
            self._refuse(f"there is no {root[:60]}; there are {', '.join(ROOTS)}")
        steps: list[str | int] = []
        while True:
            if self._takes("."):
                steps.append(self._take(_NAME, 'a name (write others as in event["a b"])'))
            elif self._takes("["):
                steps.append(self._in_brackets())
                self._expect("]")
            else:
                return root, tuple(steps)

    def _in_brackets(self) -> str | int:
        self._space()
        found = _INDEX.match(self._text, self.position)
        if found:
            self.position = found.end()
            return int(found[0])
        text = self._take(_STRING, 'an index or a "name"')
        return str(self._decode(text))

    def _literal(self) -> ExactValue:
        return self._decode(
            self._take(_LITERAL, 'a literal: "text", a number, true, false or null')
        )

    def _decode(self, text: str) -> ExactValue:
        try:
            return decode_exactly(text.encode())
        except (json.JSONDecodeError, UnicodeEncodeError):
            self._refuse(f"{text[:60]} is not JSON")

    def _space(self) -> None:
        found = _SPACE.match(self._text, self.position)
        assert found is not None
        self.position = found.end()

    def _takes(self, mark: str) -> bool:
        self._space()
        if not self._text.startswith(mark, self.position):
            return False
        self.position += len(mark)
        return True

    def _expect(self, mark: str) -> None:
        if not self._takes(mark):
            self._refuse(f"{mark} is missing")

    def _take(self, pattern: re.Pattern[str], what: str) -> str:
        self._space()
        found = pattern.match(self._text, self.position)
        if not found:
            self._refuse(f"here must be {what}")
        self.position = found.end()
        return found[0]

    def _refuse(self, reason: str) -> NoReturn:
        start = max(0, self.position - 30)
        before = self._text[start : self.position]
        after = self._text[self.position : self.position + 20]
        message = (
            f"{self._where}, character {self.position + 1}: {reason}; it stands in"
            f" {before + '⟨here⟩' + after!r}"
        )
        raise InvalidReaction(message)
