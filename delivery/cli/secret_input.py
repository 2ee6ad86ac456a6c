"""Secrets for options: from the command line, a file or standard input."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from delivery.cli.standard_input import read_standard_input
from delivery.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["SECRET_HELP", "read_secret", "read_secrets"]

SECRET_HELP: Final = "`@FILE` reads it from a file, `-` from standard input."  # noqa: S105 - a help text


async def read_secret(option: str, text: str | None) -> str | None:
    """Read the secret of an option from `@FILE` or `-`; return other values unchanged.

    Raises:
        InvalidInput: if the file or standard input cannot be read, or is empty.
    """
    if text is None:
        return None
    if text == "-":
        return _line(option, "standard input", await read_standard_input("the secret"))
    if not text.startswith("@"):
        return text
    import asyncio

    file = Path(text.removeprefix("@"))
    try:
        return _line(option, str(file), await asyncio.to_thread(file.read_bytes))
    except OSError as error:
        message = f"{option}: {file} cannot be read: {error.strerror}"
        raise InvalidInput(message) from error


async def read_secrets(option: str, texts: Sequence[str]) -> tuple[str, ...]:
    """Read the secrets of a repeatable option; see `read_secret`.

    Raises:
        InvalidInput: as `read_secret`, or if several use standard input.
    """
    if sum(text == "-" for text in texts) > 1:
        message = f"{option} - can be given only once"
        raise InvalidInput(message)
    read = [await read_secret(option, text) for text in texts]
    return tuple(secret for secret in read if secret is not None)


def _line(option: str, source: str, data: bytes) -> str:
    """Return the text without the line end that editors and `echo` append."""
    try:
        secret = data.decode().strip("\r\n")
    except UnicodeDecodeError:
        message = f"{option}: {source} is not text"
        raise InvalidInput(message) from None
    if not secret.strip():
        message = f"{option}: {source} is empty"
        raise InvalidInput(message)
    return secret
