"""`delivery secrets`: the keys that encrypt stored secrets."""

# Without `from __future__ import annotations`: cyclopts reads the annotations.

from typing import TYPE_CHECKING

from cyclopts import App

from delivery.cli.options import COMMON, Common, open_engine
from delivery.wording import counted

if TYPE_CHECKING:
    from delivery.service.secrets import Reencrypted

__all__ = ["app"]

app = App(
    name="secrets",
    help="Manage the keys that encrypt stored secrets.",
    help_epilogue="",
)


@app.command
async def generate_key(*, common: Common = COMMON) -> None:
    """Generate a key for secrets.keys and print it without storing it.

    Every process needs the key, in the settings file or in DELIVERY_SECRETS_KEYS. Nothing can
    decrypt stored secrets after their key is lost.
    """
    from delivery.message.storage.encryption import generate_key as new_key

    key = new_key()
    if common.json:
        common.output.json({"key": key})
    else:
        common.output.line(key)


@app.command
async def reencrypt(*, common: Common = COMMON) -> int:
    """Encrypt all stored secrets with the first key; exit code 1 if one cannot be decrypted.

    Workers can run at the same time, and an interrupted run can be repeated. Remove the other keys
    when a run changes nothing.
    """
    output = common.output

    def print_progress(so_far: "Reencrypted") -> None:
        if output.is_terminal:
            output.note(_words(so_far))

    async with open_engine(common) as engine:
        done = await engine.secrets.reencrypt(print_progress)
    if common.json:
        output.json(done)
    else:
        output.line(_words(done))
        if done.unreadable:
            count = counted(done.unreadable, "row")
            output.line(f"{count} cannot be decrypted: secrets.keys lacks a key")
    return 1 if done.unreadable else 0


def _words(done: "Reencrypted") -> str:
    return f"{counted(done.examined, 'row')} examined, {done.changed:,} encrypted again"
