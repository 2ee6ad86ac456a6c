"""Values that are not secret under most secret names: booleans, short numbers, dates."""

from __future__ import annotations

import re
from datetime import date, time
from typing import Final

__all__ = ["has_text", "is_plain", "names_its_value"]

_CERTAIN_ENDS: Final = (
    *("accesskey", "apikey", "authorization", "cookie", "credential", "credentials", "passcode"),
    *("passphrase", "passwd", "password", "privatekey", "secret", "signature", "token"),
)
_CERTAIN_WORDS: Final = frozenset(
    {"code", "cvc", "cvv", "jwt", "otp", "pass", "pin", "pwd", "sessionid", "sid", "sig"}
)
"""Words that name the kind of the value at the end of a name, and elsewhere its subject."""

_PLAIN: Final = re.compile(
    r"true|false|null|none|yes|no|on|off|-?[0-9][0-9.]{0,4}"
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?"
    r"(?:Z|[+-][0-9]{2}:?[0-9]{2})?)?",
    re.IGNORECASE,
)
"""Booleans, short numbers and dates."""
_LONGEST_PLAIN: Final = 40


def names_its_value(normalized: str, last_word: str) -> bool:
    """Return True if a secret name names the kind of its value and not its subject.

    Args:
        normalized: Letters and digits of the name, in lower case.
        last_word: Last word of the name, in lower case.
    """
    return normalized.endswith(_CERTAIN_ENDS) or last_word in _CERTAIN_WORDS


def is_plain(text: str) -> bool:
    """Return True if a string is empty, a boolean, a short number or a date."""
    return not text or (len(text) <= _LONGEST_PLAIN and _PLAIN.fullmatch(text) is not None)


def has_text(value: object) -> bool:
    """Return True if a JSON value contains a string that is not plain."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting += item.values()
        elif isinstance(item, (list, tuple)):
            waiting += item
        elif isinstance(item, str):
            if not is_plain(item):
                return True
        elif not isinstance(item, (int, float, date, time)) and item is not None:
            return True
    return False
