"""Signatures by Standard Webhooks (standardwebhooks.com): `v1` and `v1a`.

A signature covers `id.timestamp.body`. `v1` is HMAC-SHA256 (RFC 2104) with the bytes of a secret
`whsec_…`. `v1a` is ed25519 (RFC 8032) with the private key of a secret `whsk_…`, so that receivers
need only the public key `whpk_…`. The header `webhook-signature` contains one `v1,<base64>` or
`v1a,<base64>` per secret, separated by spaces. So receivers can verify with the old or the new
secret during a rotation.
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
