"""Placeholders of a call: its URL, query, headers and body; see `parsing` for the syntax.

A value never changes the text around it. In path and query it is percent-encoded completely, in a
header it cannot end the line, in JSON it is encoded or retains its type. The scheme, host and port,
and the names of headers, query pairs and fields, cannot have placeholders.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from delivery.errors import InvalidReaction
from delivery.message.request.url import LONGEST_URL, join_query, quote_target, quote_value
from delivery.message.template.body_filling import (
    LARGEST_BODY,
    body_has_placeholders,
    body_texts,
    compile_body,
)
from delivery.message.template.parsing import (
    Placeholder,
    Template,
    TemplateError,
    compile_template,
    has_placeholders,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from delivery.message.storage.exact_json import ExactValue
    from delivery.message.template.decoded_payload import DecodedPayload
    from delivery.message.template.parsing import Values
    from delivery.models import HttpParams

__all__ = ["CallTemplate", "Facts", "Filled", "compile_call", "plain_url"]

_LONGEST_VALUE: Final = 8_192
_MOST_PLACEHOLDERS: Final = 1_000
_AUTHORITY: Final = re.compile(r"[^/?#]*://[^/?#]*")
_SEPARATOR: Final = re.compile(r"[/\\]")
_HALF_ESCAPE: Final = re.compile(r"%[0-9A-Fa-f]?\Z")
_PLACEHOLDER: Final = "{"
"""Marker of a placeholder in a path, where a literal brace is percent-encoded."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Values for placeholders, except the payload."""

    tenant_id: str
    job_id: UUID
    attempt: int
    """Number of the present attempt, from 1."""
    max_attempts: int
    trigger_id: UUID | None
    trigger_type: str | None
    created_at: float
    """Creation time of the trigger or direct job, in seconds since the epoch."""
    reaction_id: UUID | None
    reaction_name: str | None
    area_id: str | None


@dataclass(frozen=True, slots=True)
class Filled:
    """Filled-in parts of a call; `body` is None if it has no placeholders."""

    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None


class CallTemplate:
    """Compiled call. Parts without placeholders are copied."""

    __slots__ = ("_body", "_headers", "_query", "_roots", "_target", "_varying")

    def __init__(
        self,
        target: Template,
        query: tuple[tuple[str, Template], ...],
        headers: tuple[tuple[str, Template], ...],
        body: Callable[[Values], bytes] | None,
        roots: frozenset[str],
    ) -> None:
        self._target = target
        self._varying = _varying_segments(target)
        self._query = query
        self._headers = headers
        self._body = body
        self._roots = roots

    def fill(self, facts: Facts, payload: DecodedPayload) -> Filled:
        """Fill in the call for one job.

        Raises:
            TemplateError: if a value is missing, or is not valid at its position.
        """
        values = _values(facts, payload, self._roots)
        target = self._target.fill(values, "the url", LONGEST_URL, _encoded)
        if self._varying:
            _check_segments(target, self._varying)
        for name, value in self._query:
            filled = _encoded(value.fill(values, f"query.{name[:80]}", LONGEST_URL))
            target = join_query(target, f"{quote_value(name)}={filled}")
            if len(target) > LONGEST_URL:
                message = f"the url would be longer than {LONGEST_URL:,} characters"
                raise TemplateError(message)
        headers = tuple(
            (name, _filled_header(name, template, values)) for name, template in self._headers
        )
        body = None if self._body is None else self._body(values)
        if body is not None and len(body) > LARGEST_BODY:
            message = (
                f"the body would have {len(body):,} bytes; at most {LARGEST_BODY:,} are allowed"
            )
            raise TemplateError(message)
        return Filled(target, headers, body)


def plain_url(url: str) -> str:
    """Replace each placeholder of a URL by an `x`, for checks that do not depend on the values.

    Raises:
        InvalidReaction: if there is a placeholder before the path.
    """
    if not has_placeholders(url):
        return url
    start, template = _split(url)
    return start + "".join(part if isinstance(part, str) else "x" for part in template.parts)


def compile_call(params: HttpParams) -> CallTemplate | None:
    """Compile the placeholders of a call; None without any.

    Raises:
        InvalidReaction: if a placeholder is invalid; the message gives its position.
    """
    texts = [params.url, *chain.from_iterable((*params.query, *params.headers))]
    in_body = body_has_placeholders(params.body)
    if not in_body and not any(map(has_placeholders, texts)):
        return None
    if in_body:
        texts += body_texts(params.body)
    opened = sum(text.count("{{") for text in texts)
    if opened > 2 * _MOST_PLACEHOLDERS:
        # Limit the work of compiling. Twice the maximum, because literals can contain two braces.
        raise InvalidReaction(_too_many(opened))
    _refuse_names(params)
    target = _target_template(params.url)
    query = tuple((name, compile_template(value, f"query.{name}")) for name, value in params.query)
    headers = tuple(
        (name, compile_template(value, f"headers.{name}")) for name, value in params.headers
    )
    templates = [target, *(value for _, value in (*query, *headers))]
    body = None
    if in_body:
        body, of_body = compile_body(params.body)
        templates += of_body
    placeholders = [
        part for template in templates for part in template.parts if isinstance(part, Placeholder)
    ]
    if len(placeholders) > _MOST_PLACEHOLDERS:
        raise InvalidReaction(_too_many(len(placeholders)))
    roots = frozenset(part.root for part in placeholders if part.root is not None)
    return CallTemplate(target, query, headers, body, roots)


def _too_many(placeholders: int) -> str:
    most = f"at most {_MOST_PLACEHOLDERS:,} are allowed"
    return f"there are {placeholders:,} placeholders; {most}"


def _split(url: str) -> tuple[str, Template]:
    """Split a URL into scheme with authority, and the rest without the fragment."""
    parts = compile_template(url, "url").parts
    first = parts[0]
    found = _AUTHORITY.match(first) if isinstance(first, str) else None
    if found is None or (found.end() == len(found.string) and len(parts) > 1):
        message = (
            "url: only the path and the query can have placeholders, so that a payload cannot"
            " choose the host"
        )
        raise InvalidReaction(message)
    rest: list[str | Placeholder] = []
    before = ""
    for part in (found.string[found.end() :], *parts[1:]):
        if isinstance(part, Placeholder):
            if _HALF_ESCAPE.search(before):
                message = "url: a % before a placeholder would form %XX with its value; write %25"
                raise InvalidReaction(message)
            rest.append(part)
            continue
        before, is_last, _ = part.partition("#")
        rest.append(before)
        if is_last:
            break
    return found[0], Template(tuple(rest))


def _target_template(url: str) -> Template:
    if not has_placeholders(url) and not _AUTHORITY.match(url):
        # This is not a URL; `parse_url` rejects it.
        return Template(("/",))
    return _quoted(_split(url)[1])


def _quoted(template: Template) -> Template:
    parts = tuple(quote_target(part) if isinstance(part, str) else part for part in template.parts)
    first = parts[0]
    rooted = isinstance(first, str) and first.startswith("/")
    return Template(parts if rooted else ("/", *parts))


def _refuse_names(params: HttpParams) -> None:
    for where, pairs in (("query", params.query), ("headers", params.headers)):
        for name, _ in pairs:
            if has_placeholders(name):
                message = f"{where}: names cannot have placeholders; change {name[:80]!r}"
                raise InvalidReaction(message)


def _values(facts: Facts, payload: DecodedPayload, roots: frozenset[str]) -> Values:
    values: dict[str, ExactValue | DecodedPayload] = {}
    if "event" in roots:
        try:
            # Decode it here, so that this error is reported.
            payload.value  # noqa: B018
        except ValueError:
            message = "the payload is not JSON, so placeholders cannot refer to its values"
            raise TemplateError(message) from None
        values["event"] = payload
    if "trigger" in roots and facts.trigger_id is not None:
        created_at = datetime.fromtimestamp(facts.created_at, UTC)
        values["trigger"] = {
            "id": str(facts.trigger_id),
            "type": facts.trigger_type,
            "tenant_id": facts.tenant_id,
            "created_at": created_at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        }
    if "reaction" in roots and facts.reaction_id is not None:
        values["reaction"] = {
            "id": str(facts.reaction_id),
            "name": facts.reaction_name,
            "area_id": facts.area_id,
        }
    if "job" in roots:
        values["job"] = {
            "id": str(facts.job_id),
            "tenant_id": facts.tenant_id,
            "attempt": facts.attempt,
            "max_attempts": facts.max_attempts,
        }
    return values


def _varying_segments(target: Template) -> tuple[int, ...]:
    """Return the indexes of path segments with placeholders."""
    marked = "".join(part if isinstance(part, str) else _PLACEHOLDER for part in target.parts)
    segments = marked.partition("?")[0].split("/")
    return tuple(index for index, segment in enumerate(segments) if _PLACEHOLDER in segment)


def _check_segments(target: str, varying: tuple[int, ...]) -> None:
    # Values add no slash, so the indexes are unchanged.
    segments = target.partition("?")[0].split("/")
    for index in varying:
        # Common servers decode %2F before they resolve dots, and remove parameters after `;`.
        inner = _SEPARATOR.split(unquote(segments[index], "latin-1"))
        if inner == ["."] or ".." in (piece.partition(";")[0] for piece in inner):
            message = (
                f"a value makes segment {index} of the url's path . or .., which leads to another"
                " path; use another value"
            )
            raise TemplateError(message)


def _encoded(text: str) -> str:
    try:
        return quote_value(text)
    except UnicodeEncodeError:
        message = "a value for the url has a lone surrogate, which UTF-8 cannot encode"
        raise TemplateError(message) from None


def _filled_header(name: str, template: Template, values: Values) -> str:
    value = template.fill(values, f"the header {name}", _LONGEST_VALUE)
    # No message quotes the value, because it can be a credential.
    for index, mark in enumerate(value):
        if (ord(mark) < 0x20 and mark != "\t") or mark == "\x7f":  # noqa: PLR2004 - below the space
            found = f"a line break or control character at position {index}"
        elif ord(mark) > 0xFF:  # noqa: PLR2004 - the last of ISO 8859-1
            found = f"a character at position {index} that is not in ISO 8859-1"
        else:
            continue
        message = f"the header {name} would have {found}, which headers cannot contain"
        raise TemplateError(message)
    return value.strip(" \t")
