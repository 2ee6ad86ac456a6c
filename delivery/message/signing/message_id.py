"""Message ids that make the signed content unambiguous.

A signature covers `id.timestamp.body`. With a dot in the id, one signature would be valid
for several messages: id `a.1` at time 2, and id `a` at time 1 with a body that begins with `2.`.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["ALLOWED_IDS", "is_message_id"]

ALLOWED_IDS: Final = "1 to 256 visible ASCII characters, without dots"

_ID: Final = re.compile(r"[!-\-/-~]{1,256}")

is_message_id: Final = _ID.fullmatch
"""Match an id that may be signed."""
