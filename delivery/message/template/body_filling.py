"""Placeholders of a body: JSON values in JSON, strings in forms and raw text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import orjson

from delivery.errors import InvalidReaction
from delivery.message.request.body import form_text
from delivery.message.request.payload import encode_payload
from delivery.message.storage.exact_json import encode_exactly
from delivery.message.template.parsing import (
    Placeholder,
    Template,
    TemplateError,
    compile_template,
    has_placeholders,
)
from delivery.models import BodyKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from delivery.message.template.parsing import Values
    from delivery.models import Body

__all__ = ["LARGEST_BODY", "body_has_placeholders", "body_texts", "compile_body"]

LARGEST_BODY: Final = 4_194_304
"""Maximum size of a filled-in body, in bytes."""
_NO_LIMIT: Final = 1 << 62
_SUBJECT: Final = "the body"


def body_texts(body: Body) -> Iterable[str]:
    """Yield all strings in a body's content, including names."""
    if body.kind not in {BodyKind.JSON, BodyKind.FORM, BodyKind.RAW}:
        return
    waiting: list[Any] = [body.content]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            waiting += [*item, *item.values()]
        elif isinstance(item, (list, tuple)):
            waiting += item


def body_has_placeholders(body: Body) -> bool:
    """Return True if a string in a body's content has placeholders, including names."""
    if body.kind is not BodyKind.JSON:
        return any(map(has_placeholders, body_texts(body)))
    try:
        # Compact JSON has two adjacent braces only in strings.
        return b"{{" in orjson.dumps(body.content)
    except TypeError:
        return any(map(has_placeholders, body_texts(body)))


def compile_body(
    body: Body,
) -> tuple[Callable[[Values], bytes], list[Template]]:
    """Return a function that fills in the body, and the templates in the body.

    Raises:
        InvalidReaction: if a placeholder is invalid; the message gives its position.
    """
    if body.kind is BodyKind.RAW:
        raw = compile_template(str(body.content), "body")
        return lambda values: _utf8(raw.fill(values, _SUBJECT, LARGEST_BODY)), [raw]
    if body.kind is BodyKind.FORM:
        fields = [
            (_name(name, "body"), compile_template(form_text(value), f"body.{name}"))
            for name, value in body.content.items()
        ]
        return lambda values: _form(fields, values), [template for _, template in fields]
    pieces: list[str | Placeholder | Template] = []
    _compile_json(body.content, "body", pieces)
    templates = [
        piece if isinstance(piece, Template) else Template((piece,))
        for piece in pieces
        if not isinstance(piece, str)
    ]
    return lambda values: _json(pieces, values), templates


def _name(name: object, where: str) -> str:
    if has_placeholders(str(name)):
        message = f"{where}: names cannot have placeholders; change {str(name)[:80]!r}"
        raise InvalidReaction(message)
    return str(name)


def _form(fields: list[tuple[str, Template]], values: Values) -> bytes:
    room = LARGEST_BODY
    texts = []
    for name, template in fields:
        text = template.fill(values, _SUBJECT, LARGEST_BODY)
        room = _room_after(text, room)
        texts.append((name, text))
    try:
        return urlencode(texts).encode()
    except UnicodeEncodeError:
        message = "a value for the form has a lone surrogate, which UTF-8 cannot encode"
        raise TemplateError(message) from None


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        message = "a value for the body has a lone surrogate, which UTF-8 cannot encode"
        raise TemplateError(message) from None


def _compile_json(content: Any, where: str, pieces: list[str | Placeholder | Template]) -> None:
    """Split the content into JSON text, placeholders of values, and templates of strings."""
    if isinstance(content, str) and has_placeholders(content):
        template = compile_template(content, where)
        pieces.append(template.single or template)
    elif isinstance(content, dict):
        pieces.append("{")
        for index, (name, value) in enumerate(content.items()):
            key = encode_exactly(_name(name, where))
            pieces.append(f"{',' if index else ''}{key}:")
            _compile_json(value, f"{where}.{name}", pieces)
        pieces.append("}")
    elif isinstance(content, (list, tuple)):
        pieces.append("[")
        for index, value in enumerate(content):
            if index:
                pieces.append(",")
            _compile_json(value, f"{where}[{index}]", pieces)
        pieces.append("]")
    else:
        pieces.append(encode_payload(content, _NO_LIMIT).decode())


def _json(pieces: list[str | Placeholder | Template], values: Values) -> bytes:
    room = LARGEST_BODY
    texts = []
    for piece in pieces:
        if isinstance(piece, str):
            text = piece
        elif isinstance(piece, Placeholder):
            text = encode_exactly(piece.value(values))
        else:
            text = encode_exactly(piece.fill(values, _SUBJECT, LARGEST_BODY))
        room = _room_after(text, room)
        texts.append(text)
    return "".join(texts).encode()


def _room_after(text: str, room: int) -> int:
    if len(text) > room:
        message = f"{_SUBJECT} would be longer than {LARGEST_BODY:,} characters"
        raise TemplateError(message)
    return room - len(text)
