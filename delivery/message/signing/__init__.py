"""Signatures by Standard Webhooks (standardwebhooks.com): `v1` and `v1a`.

What is signed is `id.timestamp.body`: with HMAC-SHA256 (RFC 2104) under the bytes that a secret
`whsec_…` encodes (`v1`), or with ed25519 (RFC 8032) and the private key of a secret `whsk_…`
(`v1a`), so that receivers hold nothing but the public key `whpk_…`. The header `webhook-signature`
holds one `v1,<base64>` or `v1a,<base64>` for each secret, separated by spaces, so that receivers
accept either secret while one replaces the other.
"""

from __future__ import annotations

from delivery.message.signing.keys import generate_secret, kind_of, parse_secret, public_key
from delivery.message.signing.signer import ExpiringSigner, Signer
from delivery.message.signing.verification import VerifiedMessage, verify

__all__ = [
    "ExpiringSigner",
    "Signer",
    "VerifiedMessage",
    "generate_secret",
    "kind_of",
    "parse_secret",
    "public_key",
    "verify",
]
