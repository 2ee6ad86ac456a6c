"""Texts with the escapes of the languages of receivers."""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ENCODERS"]


def as_json(text: str) -> str:
    return json.dumps(text)[1:-1]


def in_php(text: str) -> str:
    return as_json(text).replace("/", "\\/")


def in_go(text: str) -> str:
    raw = json.dumps(text, ensure_ascii=False)[1:-1]
    return re.sub("[<>&\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", raw)


def in_utf16(text: str, sign: str, pattern: str) -> str:
    """Write each UTF-16 unit of a match as four hexadecimal digits."""

    def written(found: re.Match[str]) -> str:
        units = found[0].encode("utf-16-be")
        return "".join(sign + units[at : at + 2].hex() for at in range(0, len(units), 2))

    return re.sub(pattern, written, text)


def in_dotnet(text: str) -> str:
    pattern = r"[^\\0-9A-Za-z ,.!?_-]"
    return re.sub(
        pattern,
        lambda found: "".join(f"\\u{ord(unit):04X}" for unit in in_units(found[0])),
        text.replace("\\", "\\\\"),
    )


def in_units(character: str) -> list[str]:
    """Return the UTF-16 units of a character, as characters."""
    units = character.encode("utf-16-be")
    return [chr(int.from_bytes(units[at : at + 2])) for at in range(0, len(units), 2)]


def in_javascript(text: str) -> str:
    return re.sub(
        r"[^A-Za-z0-9@*_+./-]",
        lambda found: (
            f"%{ord(found[0]):02X}" if ord(found[0]) < 256 else in_utf16(found[0], "%u", r"[\s\S]")
        ),
        text,
    )


ENCODERS: Final[dict[str, Callable[[str], str]]] = {
    "json": as_json,
    "json, not in ASCII": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "php": in_php,
    "go and rails": in_go,
    ".net": in_dotnet,
    "all in unicode escapes": lambda text: in_utf16(text, "\\u", r"[\s\S]"),
    "encodeURIComponent": lambda text: quote(text, safe="!~*'()"),
    "encodeURI": lambda text: quote(text, safe=";,/?:@&=+$-_.!~*'()#"),
    "quote_plus": quote_plus,
    "percent in small letters": lambda text: re.sub(
        "%..", lambda found: found[0].lower(), quote(text, safe="")
    ),
    "all in percent": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "escape": in_javascript,
    "html": html.escape,
    "html by numbers": lambda text: "".join(f"&#{ord(each)};" for each in text),
    "html in hexadecimal": lambda text: "".join(f"&#x{ord(each):X};" for each in text),
    "html by padded numbers": lambda text: "".join(f"&#{ord(each):010};" for each in text),
    "html in padded hexadecimal": lambda text: "".join(f"&#x{ord(each):08x};" for each in text),
    "perl": lambda text: "".join(f"\\x{{{ord(each):x}}}" for each in text),
    "bytes in hexadecimal": lambda text: "".join(f"\\x{byte:02x}" for byte in text.encode()),
    "bytes in octal": lambda text: "".join(f"\\{byte:03o}" for byte in text.encode()),
    "by code points": lambda text: "".join(f"\\u{{{ord(each):x}}}" for each in text),
    "python": lambda text: repr(text + "'\"")[1:-4].replace("\\'", "'"),
    "properties": lambda text: re.sub(r"([:=#!\\ ])", r"\\\1", text),
}
"""Encoders that escape a text for a string, a URL or a page."""
