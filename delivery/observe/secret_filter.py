"""What the program's own messages must not say: secrets that this process knows.

A message may repeat an error of somebody else's, and that a password or a header's value. So each
line is looked through before it is written. Logging is one for a whole process, and so is this.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from delivery.message.redaction.by_name import REDACTED
from delivery.message.redaction.escapes import Unescaped, has_escapes, replace_spans
from delivery.message.redaction.scrubber import Scrubber

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["register_scrubber", "register_secrets", "scrub_secrets"]

_CALLS_KEPT: Final = 5_000
"""Calls of reactions whose secrets are remembered; those made ready longest ago go first."""
_PASSING_KEPT: Final = 500
"""The same of calls that are made ready for one job, and must not drive out the others."""

_USERINFO: Final = re.compile(r"(?<=://)[^\s/@:]*:[^\s/@]+(?=@)")
_DATABASE: Final = re.compile(r"(\bpostgres(?:ql)?://[^\s:@]*:)\S+@")
"""Up to the last `@`: the password may hold others, and slashes."""
_AUTHORIZATION: Final = re.compile(r"\b(Bearer|Basic) +[A-Za-z0-9._~+/=-]{6,}")

_always: dict[str, Scrubber] = {}
_of_calls: OrderedDict[int, Scrubber] = OrderedDict()
_passing: OrderedDict[int, Scrubber] = OrderedDict()


def register_secrets(secrets: Iterable[str]) -> None:
    """Never write these: passwords and keys of the process itself."""
    for secret in secrets:
        if secret not in _always:
            _always[secret] = Scrubber([secret])


def register_scrubber(scrubber: Scrubber, *, of_one_job: bool = False) -> None:
    """Do not write what this finds, the secrets of a call, for as long as there is room."""
    kept, most = (_passing, _PASSING_KEPT) if of_one_job else (_of_calls, _CALLS_KEPT)
    kept[id(scrubber)] = scrubber
    if len(kept) > most:
        kept.popitem(last=False)


def scrub_secrets(text: str) -> str:
    """The text as it may be written."""
    scrubbers = (*_always.values(), *_of_calls.values(), *_passing.values())
    data = text.encode("utf-8", "surrogatepass")
    if has_escapes(data):
        # Undone once for all of them.
        unescaped = Unescaped(data)
        spans = [span for scrubber in scrubbers for span in scrubber.find_in(unescaped)]
        if spans:
            text = replace_spans(data, spans, REDACTED.encode()).decode("utf-8", "replace")
    for scrubber in scrubbers:
        text = scrubber.scrub_plain(text)
    text = _DATABASE.sub(rf"\g<1>{REDACTED}@", text)
    text = _USERINFO.sub(REDACTED, text)
    return _AUTHORIZATION.sub(rf"\1 {REDACTED}", text)
