"""Fills in the placeholders of a call: its URL, query, headers and body; see `template`.

A value never changes what surrounds it: in the path and the query it is percent-encoded as a whole,
in a header it cannot end the line, in JSON it is encoded or keeps its own type. Where the call goes
to, scheme, host and port, takes no placeholders, and neither do names.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import TYPE_CHECKING, Final

from delivery.errors import InvalidReaction
from delivery.message.body_filling import body_texts, compile_body
from delivery.message.exact_json import ExactValue, Number, decode_exactly
from delivery.message.template import (
    Placeholder,
    Template,
    TemplateError,
    compile_template,
    has_placeholders,
)
from delivery.message.url import LONGEST_URL, quote_target, quote_value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from uuid import UUID

    from delivery.models import HttpParams

__all__ = ["CallTemplate", "Facts", "Filled", "compile_call", "plain_url"]

_LONGEST_VALUE: Final = 8_192
_LARGEST_BODY: Final = 4_194_304
_DOTS: Final = frozenset({".", ".."})


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
    """What was filled in; None for what has no placeholders."""

    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None


class CallTemplate:
    """The compiled call. What has no placeholders is taken over as it is."""

    __slots__ = ("_body", "_headers", "_query", "_roots", "_target")

    def __init__(
        self,
        target: Template,
        query: tuple[tuple[str, Template], ...],
        headers: tuple[tuple[str, Template], ...],
        body: Callable[[Mapping[str, ExactValue]], bytes] | None,
        roots: frozenset[str],
    ) -> None:
        self._target = target
        self._query = query
        self._headers = headers
        self._body = body
        self._roots = roots

    def fill(self, facts: Facts, payload: bytes) -> Filled:
        """The call for one job.

        Raises:
            TemplateError: if a value is missing, or cannot stand where it is asked for.
        """
        values = _values(facts, payload, self._roots)
        target = _fill_target(self._target, values)
        pairs = [
            f"{quote_value(name)}={_encoded(value.fill(values))}" for name, value in self._query
        ]
        if pairs:
            target += ("&" if "?" in target else "?") + "&".join(pairs)
        if len(target) > LONGEST_URL:
            message = f"the url is {len(target):,} characters long; at most {LONGEST_URL:,} may be"
            raise TemplateError(message)
        headers = tuple(
            (name, _checked_header(name, value.fill(values))) for name, value in self._headers
        )
        body = None if self._body is None else self._body(values)
        if body is not None and len(body) > _LARGEST_BODY:
            message = f"the body has {len(body):,} bytes; at most {_LARGEST_BODY:,} may be"
            raise TemplateError(message)
        return Filled(target, headers, body)


def plain_url(url: str) -> str:
    """The URL with an `x` for each placeholder, for what does not depend on them.

    Raises:
        InvalidReaction: if one stands where none may: before the path.
    """
    if not has_placeholders(url):
        return url
    start, rest = _split(url)
    template = compile_template(rest, "url")
    return start + "".join(part if isinstance(part, str) else "x" for part in template.parts)


def compile_call(params: HttpParams) -> CallTemplate | None:
    """The call's placeholders made ready; None: it has none.

    Raises:
        InvalidReaction: naming the place of a placeholder that cannot be used.
    """
    texts = [params.url, *chain.from_iterable((*params.query, *params.headers))]
    in_body = list(body_texts(params.body))
    if not any(map(has_placeholders, (*texts, *in_body))):
        return None
    _refuse_names(params)
    target = _target_template(params.url)
    query = tuple((name, compile_template(value, f"query.{name}")) for name, value in params.query)
    headers = tuple(
        (name, compile_template(value, f"headers.{name}")) for name, value in params.headers
    )
    templates = [target, *(value for _, value in (*query, *headers))]
    body = None
    if any(map(has_placeholders, in_body)):
        body, of_body = compile_body(params.body)
        templates += of_body
    roots = frozenset(
        part.root
        for template in templates
        for part in template.parts
        if isinstance(part, Placeholder) and part.root is not None
    )
    return CallTemplate(target, query, headers, body, roots)


def _split(url: str) -> tuple[str, str]:
    """Scheme and authority, and what follows."""
    before = url.split("{{", 1)[0]
    _, found, authority = before.partition("://")
    ends = [authority.find(mark) for mark in "/?#" if mark in authority]
    if not found or not ends:
        message = (
            "url: placeholders may stand in the path and the query only, so that a job cannot"
            " choose whom to call"
        )
        raise InvalidReaction(message)
    end = before.index("://") + 3 + min(ends)
    return url[:end], url[end:].split("#", 1)[0]


def _target_template(url: str) -> Template:
    if not has_placeholders(url):
        # Its path and query are known already; what is given here is only for the parts of it.
        _, found, rest = url.partition("://")
        ends = [rest.find(mark) for mark in "/?#" if mark in rest]
        rest = rest[min(ends) :] if found and ends else "/"
        return _quoted(Template((rest.split("#", 1)[0] or "/",)))
    return _quoted(compile_template(_split(url)[1], "url"))


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


def _values(facts: Facts, payload: bytes, roots: frozenset[str]) -> dict[str, ExactValue]:
    values: dict[str, ExactValue] = {}
    if "event" in roots:
        values["event"] = decode_exactly(payload)
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
            "attempt": Number(facts.attempt),
            "max_attempts": Number(facts.max_attempts),
        }
    return values


def _fill_target(template: Template, values: Mapping[str, ExactValue]) -> str:
    target = template.fill(values, _encoded)
    if len(template.parts) > 1:
        path = target.partition("?")[0]
        if not _DOTS.isdisjoint(path.split("/")):
            message = (
                "a value makes a part of the url's path . or .., which receivers take for another"
                " path; name another value"
            )
            raise TemplateError(message)
    return target


def _encoded(text: str) -> str:
    try:
        return quote_value(text)
    except UnicodeEncodeError:
        message = "a value for the url has a lone surrogate in it, which has no UTF-8"
        raise TemplateError(message) from None


def _checked_header(name: str, value: str) -> str:
    # The value may be a credential, so no message quotes it.
    for index, mark in enumerate(value):
        if (ord(mark) < 0x20 and mark != "\t") or mark == "\x7f":  # noqa: PLR2004 - below the space
            what = f"a line break or control character at position {index}"
        elif ord(mark) > 0xFF:  # noqa: PLR2004 - the last of ISO 8859-1
            what = f"a character at position {index} that is not in ISO 8859-1"
        else:
            continue
        message = f"the header {name} would have {what}, which headers cannot hold"
        raise TemplateError(message)
    if len(value) > _LONGEST_VALUE:
        message = (
            f"the header {name} would have {len(value):,} characters;"
            f" at most {_LONGEST_VALUE:,} may be"
        )
        raise TemplateError(message)
    return value.strip(" \t")
