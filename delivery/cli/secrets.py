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
    help="Generate and change the keys that encrypt stored secrets.",
    help_epilogue="",
)


@app.command
async def generate_key(*, common: Common = COMMON) -> None:
    """Generate a key for secrets.keys and print it; it is stored nowhere.

    Every process needs it, in the settings file or in DELIVERY_SECRETS_KEYS. Secrets that are
    encrypted with a key that is lost are lost too.
    """
    from delivery.message.storage.encryption import generate_key as new_key

    key = new_key()
    if common.json:
        common.output.json({"key": key})
    else:
        common.output.line(key)


@app.command
async def reencrypt(*, common: Common = COMMON) -> int:
    """Encrypt all stored secrets with the first key; exit code 1 if one cannot be read.

    Workers may run meanwhile, and an interrupted run can be repeated. When a run changes nothing,
    the other keys can be removed.
    """
    output = common.output

    def tell(so_far: "Reencrypted") -> None:
        if output.is_terminal:
            output.note(_words(so_far))

    async with open_engine(common) as engine:
        done = await engine.secrets.reencrypt(tell)
    if common.json:
        output.json(done)
    else:
        output.line(_words(done))
        if done.unreadable:
            count = counted(done.unreadable, "row")
            output.line(f"{count} cannot be read: a key is missing in secrets.keys")
    return 1 if done.unreadable else 0


def _words(done: "Reencrypted") -> str:
    return f"{counted(done.examined, 'row')} examined, {done.changed:,} encrypted again"
