"""Ids of messages that make the signed content unambiguous.

A signature covers `id.timestamp.body`. With a dot in the id, one signature would fit several
messages: the id `a.1` at time 2, and the id `a` at time 1 with a body that begins with `2.`.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["ALLOWED_IDS", "is_message_id"]

ALLOWED_IDS: Final = "1 to 256 visible ASCII characters, none of them a dot"

_ID: Final = re.compile(r"[!-\-/-~]{1,256}")

is_message_id: Final = _ID.fullmatch
"""Match an id that may be signed."""
