"""Payloads of about 1 KB that differ from each other, as real ones do."""

from __future__ import annotations

import json
from random import Random
from typing import Any, Final
from uuid import UUID

__all__ = ["order"]

_WORDS: Final = (
    *("order", "paid", "customer", "shipment", "address", "invoice", "total", "currency", "street"),
    *("city", "country", "email", "phone", "quantity", "product", "discount", "status", "created"),
    *("updated", "reference"),
)
_SIZE: Final = 930
"""Size in bytes at which an order is complete."""


def order(number: int) -> bytes:
    """Return an order as JSON, 930 to 1,070 bytes; equal numbers give equal orders."""
    random = Random(number)
    items: list[dict[str, Any]] = []
    content = {
        "id": _identifier(random),
        "customer": {
            "id": _identifier(random),
            "email": f"{random.randbytes(6).hex()}@example.org",
            "name": " ".join(random.sample(_WORDS, 2)),
        },
        "items": items,
        "created": random.randint(1_600_000_000, 1_800_000_000),
    }
    while len(json.dumps(content)) < _SIZE:
        items.append(
            {
                "sku": random.randbytes(5).hex(),
                "quantity": random.randint(1, 9),
                "price": random.randint(100, 99_999),
                "description": " ".join(random.sample(_WORDS, 4)),
            }
        )
    return json.dumps(content).encode()


def _identifier(random: Random) -> str:
    return str(UUID(bytes=random.randbytes(16), version=4))
