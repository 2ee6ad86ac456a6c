"""Templates: strings with placeholders such as `{{ event.order.id }}`, filled in for each job.

    placeholder  "{{" expression [ "|" "default" "(" literal ")" ] [ "|" "json" ] "}}"
    expression   a path, or a JSON string
    path         root ( "." name | "[" index "]" | "[" string "]" )*
    root         event | trigger | reaction | job
    literal      a JSON string, number, true, false or null

`event` is the trigger's payload. Paths select only JSON values; templates call no functions.
`default(…)` replaces a missing value, or null where a string is required. `json` encodes a value as
JSON text. `{{ "{{" }}` yields two braces.

Compilation checks everything except the values. Errors omit the text around a placeholder and its
literals, because they can be credentials in a header.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias

from delivery.errors import InvalidReaction
from delivery.message.request.payload import DEEPEST_NESTING
from delivery.message.storage.exact_json import ExactValue, decode_exactly, encode_exactly, kind_of
from delivery.message.template.decoded_payload import MISSING, DecodedPayload, Missing, step_into

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "ROOTS",
    "Placeholder",
    "Template",
    "TemplateError",
    "Values",
    "compile_template",
    "has_placeholders",
]

ROOTS: Final = ("event", "trigger", "reaction", "job")
_KNOWN: Final = {
    "trigger": ("id", "type", "tenant_id", "created_at"),
    "reaction": ("id", "name", "area_id"),
    "job": ("id", "tenant_id", "attempt", "max_attempts"),
}
"""Members of the roots that the engine defines. The members of `event` are not known in advance."""

_OPEN: Final = "{{"
_CLOSE: Final = "}}"
_MOST_PLACEHOLDERS: Final = 200
_MOST_STEPS: Final = DEEPEST_NESTING
"""Maximum nesting of a payload."""
_LONGEST_EXCERPT: Final = 200
_SPACE: Final = re.compile(r"[ \t\r\n]*")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")
_INDEX: Final = re.compile(r"-?[0-9]{1,9}")
_QUOTED: Final = r'"(?:[^"\\\x00-\x1f]|\\.)*"'
_STRING: Final = re.compile(_QUOTED)
_LITERAL: Final = re.compile(
    _QUOTED + r"|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null"
)
_NAME_OR_LITERAL: Final = re.compile(rf'(\[\s*{_QUOTED})|\(\s*(?:{_QUOTED}|[^\s")]+)|{_QUOTED}')
"""A name in brackets, or a literal, which errors omit."""


Values: TypeAlias = "Mapping[str, ExactValue | DecodedPayload]"
"""Values for placeholders, by the name of the root."""


class TemplateError(Exception):
    """A template cannot be filled in with the given values; the message gives the reason."""


@dataclass(frozen=True, slots=True)
class Placeholder:
    """One `{{ … }}` of a template."""

    label: str
    """Text of the placeholder in errors."""
    root: str | None
    """Root of the path; None: `literal` is the value."""
    steps: tuple[str | int, ...] = ()
    literal: ExactValue = None
    default: ExactValue | Missing = MISSING
    as_json: bool = False

    def value(self, values: Values) -> ExactValue:
        """Return the JSON value that replaces the placeholder.

        Raises:
            TemplateError: if the value is missing and there is no default.
        """
        found = self.literal if self.root is None else self._find(values)
        if isinstance(found, Missing):
            found = self.default
        if isinstance(found, Missing):
            message = (
                f"{self.label} has no value: {self._reached(values)};"
                " add | default(…) if it can be missing"
            )
            raise TemplateError(message)
        return encode_exactly(found) if self.as_json else found

    def text(self, values: Values) -> str:
        """Return the string that replaces the placeholder.

        Raises:
            TemplateError: if the value is missing or null and there is no default, or if it is
                a list or an object.
        """
        found = self.value(values)
        if found is None and not isinstance(self.default, Missing):
            found = self.default
        if found is None:
            message = f"{self.label} is null; add | default(…) if it can be null"
            raise TemplateError(message)
        if isinstance(found, bool):
            return "true" if found else "false"
        if isinstance(found, (str, int)):
            return str(found)
        message = f"{self.label} is {kind_of(found)}; select a value in it, or add | json"
        raise TemplateError(message)

    def _find(self, values: Values) -> ExactValue | Missing:
        assert self.root is not None
        found: Any = values.get(self.root, MISSING)
        if isinstance(found, DecodedPayload):
            return found.at(self.steps)
        for step in self.steps:
            found = step_into(found, step)
        return found  # type: ignore[no-any-return]

    def _reached(self, values: Values) -> str:
        """Describe the first missing step of the path."""
        assert self.root is not None
        reached = self.root
        found: object = values.get(self.root, MISSING)
        if isinstance(found, DecodedPayload):
            found = found.value
        for step in self.steps:
            if isinstance(found, Missing):
                break
            following = step_into(found, step)
            if isinstance(following, Missing):
                before, name = reached[-_LONGEST_EXCERPT:], _step_text(step)[:_LONGEST_EXCERPT]
                return f"{before} is {kind_of(found)} without {name}"
            found, reached = following, reached + _step_text(step)
        return f"there is no {reached}"


def _step_text(step: str | int) -> str:
    if isinstance(step, str) and _NAME.fullmatch(step):
        return f".{step}"
    # ASCII, so that any name can be stored in an error.
    return f"[{json.dumps(step)}]"


def _without_literals(source: str) -> str:
    label = _NAME_OR_LITERAL.sub(
        lambda found: found[1] or ("(…" if found[0].startswith("(") else '"…"'), source
    )
    return label if len(label) <= _LONGEST_EXCERPT else f"{label[:_LONGEST_EXCERPT]}…"


@dataclass(frozen=True, slots=True)
class Template:
    """Compiled string."""

    parts: tuple[str | Placeholder, ...]

    @property
    def single(self) -> Placeholder | None:
        """The placeholder, if the whole string is one placeholder."""
        part = self.parts[0] if len(self.parts) == 1 else None
        return part if isinstance(part, Placeholder) else None

    def fill(
        self,
        values: Values,
        subject: str,
        longest: int,
        encode: Callable[[str], str] | None = None,
    ) -> str:
        """Return the string with its values, each passed through `encode`.

        Args:
            values: Values by the name of the root.
            subject: Name of the string in errors, such as `the url`.
            longest: Maximum length in characters. Filling stops there, so that many placeholders
                of a large value cost little.
            encode: Function that encodes a value for its position; None: insert it unchanged.

        Raises:
            TemplateError: if the result would be too long; see also `Placeholder.text`.
        """
        texts = []
        room = longest
        for part in self.parts:
            if isinstance(part, str):
                text = part
            else:
                text = part.text(values)
                if encode is not None and len(text) <= room:
                    text = encode(text)
            room -= len(text)
            if room < 0:
                message = f"{subject} would be longer than {longest:,} characters"
                raise TemplateError(message)
            texts.append(text)
        return "".join(texts)


def has_placeholders(text: object) -> bool:
    """Return True for a string with placeholders."""
    return isinstance(text, str) and _OPEN in text


def compile_template(text: str, where: str) -> Template:
    """Validate and compile a string.

    Args:
        text: String with or without placeholders.
        where: Position of the string for errors, such as `url` or `headers.X-Order`.

    Raises:
        InvalidReaction: if a placeholder is invalid; the message gives its position.
    """
    parts: list[str | Placeholder] = []
    position = 0
    count = 0
    while True:
        opened = text.find(_OPEN, position)
        if opened < 0:
            break
        if opened > position:
            parts.append(text[position:opened])
        reader = _Reader(text, opened, where)
        parts.append(reader.placeholder())
        position = reader.position
        count += 1
        if count > _MOST_PLACEHOLDERS:
            message = f"{where} has too many placeholders; at most {_MOST_PLACEHOLDERS} are allowed"
            raise InvalidReaction(message)
    if position < len(text) or not parts:
        parts.append(text[position:])
    return Template(tuple(parts))


class _Reader:
    """Parser of one placeholder."""

    def __init__(self, text: str, opened: int, where: str) -> None:
        self._text = text
        self._opened = opened
        self._where = where
        self.position = opened + len(_OPEN)

    def placeholder(self) -> Placeholder:
        """Parse the placeholder that begins here, and set `position` to its end."""
        root: str | None = None
        steps: tuple[str | int, ...] = ()
        literal: ExactValue = None
        self._space()
        if self._text[self.position : self.position + 1] == '"':
            literal = self._literal()
        else:
            root, steps = self._path()
        default: ExactValue | Missing = MISSING
        as_json = False
        while self._takes("|"):
            name = self._take(_NAME, "a filter: default(…) or json")
            if name == "default" and isinstance(default, Missing) and not as_json:
                self._expect("(")
                default = self._literal()
                self._expect(")")
            elif name == "json" and not as_json:
                as_json = True
            else:
                self._refuse(f"unexpected filter {name[:60]}; the filters are default(…) and json")
        self._expect(_CLOSE)
        label = _without_literals(self._text[self._opened : self.position])
        return Placeholder(label, root, steps, literal, default, as_json)

    def _path(self) -> tuple[str, tuple[str | int, ...]]:
        root = self._take(
            _NAME, f'one of {", ".join(ROOTS)} (for literal braces write {{{{ "{{{{" }}}})'
        )
        if root not in ROOTS:
            self._refuse(f"unknown name {root[:60]}; the names are {', '.join(ROOTS)}")
        steps: list[str | int] = []
        while True:
            if self._takes("."):
                steps.append(self._take(_NAME, 'a name (quote other names: event["a b"])'))
            elif self._takes("["):
                steps.append(self._in_brackets())
                self._expect("]")
            else:
                return root, tuple(steps)
            if len(steps) > _MOST_STEPS:
                self._refuse(f"the path has more than {_MOST_STEPS} steps")
            if len(steps) == 1 and root in _KNOWN and steps[0] not in _KNOWN[root]:
                self._refuse(f"{root} has only {', '.join(_KNOWN[root])}")

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
            self._take(_LITERAL, 'a literal: a "string", a number, true, false or null')
        )

    def _decode(self, text: str) -> ExactValue:
        try:
            return decode_exactly(text.encode())
        except (json.JSONDecodeError, UnicodeEncodeError):
            self._refuse("the string that ends here is not valid JSON")

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

    def _take(self, pattern: re.Pattern[str], subject: str) -> str:
        self._space()
        found = pattern.match(self._text, self.position)
        if not found:
            self._refuse(f"expected {subject}")
        self.position = found.end()
        return found[0]

    def _refuse(self, reason: str) -> NoReturn:
        # The text after the position is not parsed yet, and can be a literal.
        before = _without_literals(self._text[self._opened : self.position])
        message = (
            f"{self._where}, character {self.position + 1}: {reason};"
            f" the placeholder begins {before + '⟨here⟩'!r}"
        )
        raise InvalidReaction(message)
