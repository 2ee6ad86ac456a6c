"""Encryption shared by the parts of an engine, and the secrets to redact in its messages."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from delivery.message.storage.encryption import Cipher
from delivery.observe.secret_filter import register_secrets
from delivery.settings import passwords_in

if TYPE_CHECKING:
    from delivery.settings import Settings

__all__ = ["apply_redaction", "cipher_for"]

logger = logging.getLogger(__name__)


def cipher_for(settings: Settings) -> Cipher:
    """Return the encryption of these settings. Without a key, log a warning on first use."""
    told = False

    def tell() -> None:
        nonlocal told
        if not told:
            told = True
            logger.warning(
                "there is no key in secrets.keys: secrets are stored as they are, readable in any"
                " copy of the database; `delivery secrets generate-key` makes a key"
            )

    return Cipher(settings.secrets.texts(), on_plaintext=tell)


def apply_redaction(settings: Settings, database_url: str) -> None:
    """Register the secrets of the settings for redaction in log messages."""
    redaction = settings.redaction
    if redaction.names or redaction.exempt:
        from delivery.message.redaction.by_name import add_secret_names, exempt_names  # noqa: PLC0415 - seldom

        add_secret_names(redaction.names)
        exempt_names(redaction.exempt)
    register_secrets(settings.secrets.texts())
    register_secrets(passwords_in(database_url))
    register_secrets(filter(None, [os.environ.get("PGPASSWORD")]))
