"""What the program's own messages must not say: secrets that this process knows.

A message may repeat an error of somebody else's, and that a password or a header's value. So each
line is looked through before it is written. Logging is one for a whole process, and so is this.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from delivery.message.redact import REDACTED
from delivery.message.scrub import Scrubber

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["hide", "hide_always", "hide_secrets_of"]

_CALLS_KEPT: Final = 5_000
"""Calls whose secrets are remembered; those made ready longest ago are forgotten first."""

_USERINFO: Final = re.compile(r"(?<=://)[^\s/@:]*:[^\s/@]+(?=@)")
_AUTHORIZATION: Final = re.compile(r"\b(Bearer|Basic) +[A-Za-z0-9._~+/=-]{6,}")

_always: dict[str, Scrubber] = {}
_of_calls: OrderedDict[int, Scrubber] = OrderedDict()


def hide_always(secrets: Iterable[str]) -> None:
    """Never write these: passwords and keys of the process itself."""
    for secret in secrets:
        if secret not in _always:
            _always[secret] = Scrubber([secret])


def hide_secrets_of(scrubber: Scrubber) -> None:
    """Do not write what this finds, the secrets of a call, for as long as there is room."""
    _of_calls[id(scrubber)] = scrubber
    if len(_of_calls) > _CALLS_KEPT:
        _of_calls.popitem(last=False)


def hide(text: str) -> str:
    """The text as it may be written."""
    for scrubber in (*_always.values(), *_of_calls.values()):
        text = scrubber.scrub_text(text)
    text = _USERINFO.sub(REDACTED, text)
    return _AUTHORIZATION.sub(rf"\1 {REDACTED}", text)
