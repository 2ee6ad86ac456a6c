"""`delivery secrets`: the keys that seal what is stored."""

# Without `from __future__ import annotations`: cyclopts reads the annotations.

from cyclopts import App

from delivery.cli.options import COMMON, Common, open_engine
from delivery.message.sealing import generate_key as new_key
from delivery.service.secrets import Resealed

__all__ = ["app"]

app = App(name="secrets", help="The keys that seal what is stored.", help_epilogue="")


@app.command
async def generate_key(*, common: Common = COMMON) -> None:
    """Make a key for secrets.keys; it is stored nowhere.

    Every process needs it: in the settings' file, or in DELIVERY_SECRETS_KEYS. Without it what it
    sealed is lost.
    """
    key = new_key()
    if common.json:
        common.output.json({"key": key})
    else:
        common.output.line(key)


@app.command
async def reencrypt(*, common: Common = COMMON) -> int:
    """Seal everything that is stored with the first key; exit code 1 if something cannot be read.

    Beside running workers; cut off, it can be begun again. Once nothing is changed any more, the
    other keys are not needed.
    """
    output = common.output

    def tell(so_far: Resealed) -> None:
        if output.is_terminal:
            output.note(f"{so_far.examined} rows examined, {so_far.changed} sealed anew")

    async with open_engine(common) as engine:
        done = await engine.secrets.reencrypt(tell)
    if common.json:
        output.json(done)
    else:
        output.line(f"{done.examined} rows examined, {done.changed} sealed anew")
        if done.unreadable:
            output.line(f"{done.unreadable} cannot be read: a key is missing in secrets.keys")
    return 1 if done.unreadable else 0
