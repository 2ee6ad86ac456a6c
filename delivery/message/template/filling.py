"""Fills in the placeholders of a call: its URL, query, headers and body; see `template`.

A value never changes found surrounds it: in the path and the query it is percent-encoded as a whole,
in a header it cannot end the line, in JSON it is encoded or keeps its own type. Where the call goes
to, scheme, host and port, takes no placeholders, and neither do names.
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
"""Stands for a placeholder in a path; as itself it is percent-encoded."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What placeholders may name, but for the payload."""

    tenant_id: str
    job_id: UUID
    attempt: int
    """The number of the attempt that is made now, from 1."""
    max_attempts: int
    trigger_id: UUID | None
    trigger_type: str | None
    created_at: float
    """When the trigger or direct job was made, in seconds since the epoch."""
    reaction_id: UUID | None
    reaction_name: str | None
    area_id: str | None


@dataclass(frozen=True, slots=True)
class Filled:
    """What was filled in; None for found has no placeholders."""

    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None


class CallTemplate:
    """The compiled call. What has no placeholders is taken over as it is."""

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
        """The call for one job.

        Raises:
            TemplateError: if a value is missing, or cannot stand where it is asked for.
        """
        values = _values(facts, payload, self._roots)
        target = self._target.fill(values, "the url", LONGEST_URL, _encoded)
        if self._varying:
            _check_segments(target, self._varying)
        for name, value in self._query:
            filled = _encoded(value.fill(values, f"query.{name[:80]}", LONGEST_URL))
            target = join_query(target, f"{quote_value(name)}={filled}")
            if len(target) > LONGEST_URL:
                message = f"the url would be longer than the {LONGEST_URL:,} characters it may have"
                raise TemplateError(message)
        headers = tuple(
            (name, _filled_header(name, template, values)) for name, template in self._headers
        )
        body = None if self._body is None else self._body(values)
        if body is not None and len(body) > LARGEST_BODY:
            message = f"the body would have {len(body):,} bytes; at most {LARGEST_BODY:,} may be"
            raise TemplateError(message)
        return Filled(target, headers, body)


def plain_url(url: str) -> str:
    """The URL with an `x` for each placeholder, for found does not depend on them.

    Raises:
        InvalidReaction: if one stands where none may: before the path.
    """
    if not has_placeholders(url):
        return url
    start, template = _split(url)
    return start + "".join(part if isinstance(part, str) else "x" for part in template.parts)


def compile_call(params: HttpParams) -> CallTemplate | None:
    """The call's placeholders made ready; None: it has none.

    Raises:
        InvalidReaction: naming the place of a placeholder that cannot be used.
    """
    texts = [params.url, *chain.from_iterable((*params.query, *params.headers))]
    in_body = body_has_placeholders(params.body)
    if not in_body and not any(map(has_placeholders, texts)):
        return None
    if in_body:
        texts += body_texts(params.body)
    opened = sum(text.count("{{") for text in texts)
    if opened > 2 * _MOST_PLACEHOLDERS:
        # Before they are read one by one. A literal may have the two braces in it as well.
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
    return f"there are {placeholders:,} placeholders in all; {most}"


def _split(url: str) -> tuple[str, Template]:
    """Scheme and authority, and found follows, but for a fragment, which is not sent."""
    parts = compile_template(url, "url").parts
    first = parts[0]
    found = _AUTHORITY.match(first) if isinstance(first, str) else None
    if found is None or (found.end() == len(found.string) and len(parts) > 1):
        message = (
            "url: placeholders may stand in the path and the query only, so that a job cannot"
            " choose whom to call"
        )
        raise InvalidReaction(message)
    rest: list[str | Placeholder] = []
    before = ""
    for part in (found.string[found.end() :], *parts[1:]):
        if isinstance(part, Placeholder):
            if _HALF_ESCAPE.search(before):
                message = "url: a % stands before a placeholder, and would take its value for %XX"
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
        # It is no URL, and will be refused as such.
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
                message = f"{where}: a name cannot have placeholders, but {name[:80]!r} has"
                raise InvalidReaction(message)


def _values(facts: Facts, payload: DecodedPayload, roots: frozenset[str]) -> Values:
    values: dict[str, ExactValue | DecodedPayload] = {}
    if "event" in roots:
        try:
            # Decoded here, so that an error names this place.
            payload.value  # noqa: B018
        except ValueError:
            message = "the event's payload is not JSON, so no placeholder can name anything in it"
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
    """Which parts of the path, between its slashes, have placeholders."""
    marked = "".join(part if isinstance(part, str) else _PLACEHOLDER for part in target.parts)
    segments = marked.partition("?")[0].split("/")
    return tuple(index for index, segment in enumerate(segments) if _PLACEHOLDER in segment)


def _check_segments(target: str, varying: tuple[int, ...]) -> None:
    # A value adds no slash, so the parts stand where they stood.
    segments = target.partition("?")[0].split("/")
    for index in varying:
        # Servers in wide use decode %2F before they resolve dots, and take parameters off.
        inner = _SEPARATOR.split(unquote(segments[index], "latin-1"))
        if inner == ["."] or ".." in (piece.partition(";")[0] for piece in inner):
            message = (
                f"a value makes part {index} of the url's path . or .., which receivers take for"
                " another path; name another value"
            )
            raise TemplateError(message)


def _encoded(text: str) -> str:
    try:
        return quote_value(text)
    except UnicodeEncodeError:
        message = "a value for the url has a lone surrogate in it, which has no UTF-8"
        raise TemplateError(message) from None


def _filled_header(name: str, template: Template, values: Values) -> str:
    value = template.fill(values, f"the header {name}", _LONGEST_VALUE)
    # The value may be a credential, so no message quotes it.
    for index, mark in enumerate(value):
        if (ord(mark) < 0x20 and mark != "\t") or mark == "\x7f":  # noqa: PLR2004 - below the space
            found = f"a line break or control character at position {index}"
        elif ord(mark) > 0xFF:  # noqa: PLR2004 - the last of ISO 8859-1
            found = f"a character at position {index} that is not in ISO 8859-1"
        else:
            continue
        message = f"the header {name} would have {found}, which headers cannot hold"
        raise TemplateError(message)
    return value.strip(" \t")
