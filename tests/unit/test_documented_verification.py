"""The verification without this package, in docs/receiving-webhooks.md."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest

from delivery.message.signing import Signer, generate_secret

PAGE = (Path(__file__).parents[2] / "docs" / "receiving-webhooks.md").read_text(encoding="utf-8")
BODY = b'{"order": 17}'


@pytest.fixture(scope="module")
def verify() -> Any:
    """Function of the page."""
    section = PAGE.partition("### Python without this package")[2]
    names: dict[str, Any] = {}
    exec(re.findall(r"```python\n(.*?)```", section, re.DOTALL)[0], names)
    return names["verify"]


def headers(secret: str, at: int) -> dict[str, str]:
    signature = Signer([generate_secret(), secret]).sign("msg_1", at, BODY).decode()
    return {"webhook-id": "msg_1", "webhook-timestamp": str(at), "webhook-signature": signature}


def test_a_signed_message_is_accepted(verify: Any) -> None:
    secret = generate_secret()
    assert verify(BODY, headers(secret, int(time.time())), secret) == "msg_1"


def test_a_changed_message_is_rejected(verify: Any) -> None:
    secret = generate_secret()
    with pytest.raises(ValueError, match="signature"):
        verify(BODY + b" ", headers(secret, int(time.time())), secret)


def test_an_old_message_is_rejected(verify: Any) -> None:
    secret = generate_secret()
    with pytest.raises(ValueError, match="time"):
        verify(BODY, headers(secret, int(time.time()) - 600), secret)
