"""Scrubbing of known secrets in log messages.

A message may quote an error of another library, which may contain a password or the value of a
header. Each log line is therefore scrubbed before it is written. The state is global, because
logging is.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from delivery.message.redaction.scrubber import Scrubber

__all__ = ["register_scrubber", "register_secrets", "scrub_secrets"]

_MAX_REACTIONS: Final = 5_000
"""Maximum number of scrubbers of reactions. The oldest is dropped first."""
_MAX_JOBS: Final = 500
"""Maximum number of scrubbers of single jobs, which do not displace those of reactions."""

_USERINFO: Final = re.compile(r"(?<=://)[^\s/@:]*:[^\s/@]+(?=@)")
_DATABASE_PASSWORD: Final = re.compile(r"(\bpostgres(?:ql)?://[^\s:@]*:)\S+@")
"""Matches up to the last `@`, because the password may contain `@` and slashes."""
_AUTHORIZATION: Final = re.compile(r"\b(Bearer|Basic) +[A-Za-z0-9._~+/=-]{6,}")

_of_process: dict[str, Scrubber | None] = {}
"""Scrubbers by secret. None until the first log line, because most short commands write none."""
_of_reactions: OrderedDict[int, Scrubber] = OrderedDict()
_of_jobs: OrderedDict[int, Scrubber] = OrderedDict()


def register_secrets(secrets: Iterable[str]) -> None:
    """Scrub these passwords and keys of the process in all later messages."""
    for secret in secrets:
        _of_process.setdefault(secret)


def register_scrubber(scrubber: Scrubber, *, of_one_job: bool = False) -> None:
    """Scrub the secrets of a call in later messages, until newer calls displace them."""
    scrubbers, limit = (_of_jobs, _MAX_JOBS) if of_one_job else (_of_reactions, _MAX_REACTIONS)
    scrubbers[id(scrubber)] = scrubber
    if len(scrubbers) > limit:
        scrubbers.popitem(last=False)


def _scrubbers_of_process() -> Iterable[Scrubber]:
    from delivery.message.redaction.scrubber import Scrubber  # noqa: PLC0415

    for secret, scrubber in _of_process.items():
        if scrubber is None:
            _of_process[secret] = Scrubber([secret])
    return [scrubber for scrubber in _of_process.values() if scrubber is not None]


def scrub_secrets(text: str) -> str:
    """Replace all known secrets in a text."""
    from delivery.message.redaction.by_name import REDACTED  # noqa: PLC0415
    from delivery.message.redaction.escapes import Unescaped, has_escapes, replace_spans  # noqa: PLC0415

    scrubbers = (*_scrubbers_of_process(), *_of_reactions.values(), *_of_jobs.values())
    data = text.encode("utf-8", "surrogatepass")
    if has_escapes(data):
        # Decode the escapes once for all scrubbers.
        unescaped = Unescaped(data)
        spans = [span for scrubber in scrubbers for span in scrubber.find_in(unescaped)]
        if spans:
            text = replace_spans(data, spans, REDACTED.encode()).decode("utf-8", "replace")
    for scrubber in scrubbers:
        text = scrubber.scrub_plain(text)
    text = _DATABASE_PASSWORD.sub(rf"\g<1>{REDACTED}@", text)
    text = _USERINFO.sub(REDACTED, text)
    return _AUTHORIZATION.sub(rf"\1 {REDACTED}", text)
