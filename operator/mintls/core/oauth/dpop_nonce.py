"""Nonces that the issuer gives out for DPoP proofs (RFC 9449 section 8), which no replica has to remember.

A nonce is the time at which it was given out and a MAC over that, by a key that is derived from the issuer's signing
keys: every replica knows it, nobody else does, and it changes with them.
"""

import hmac
from base64 import urlsafe_b64decode
from binascii import Error
from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import lru_cache

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from mintls.core.oauth.signing_keys import SigningKey, base64url
from mintls.core.pki.keys import encode_private_key

LIFE = timedelta(minutes=5)
# Replicas' clocks differ.
_SKEW = timedelta(seconds=30)
_TIME, _MAC = 8, 16


def new_nonce(key: SigningKey, now: datetime) -> str:
    """A nonce, made with the key that signs now."""
    time = int(now.timestamp()).to_bytes(_TIME)
    return base64url(time + _mac(key, time)).decode("ascii")


def is_recent(nonce: str, keys: Iterable[SigningKey], now: datetime) -> bool:
    """Whether a nonce was given out by the issuer within ``LIFE``.

    Args:
        nonce: From the proof.
        keys: The published keys: the one that made it may sign no longer.
        now: Aware UTC.
    """
    try:
        octets = urlsafe_b64decode(nonce + "=" * (-len(nonce) % 4))
    except (Error, ValueError):
        return False
    time, mac = octets[:_TIME], octets[_TIME:]
    if len(mac) != _MAC or base64url(octets).decode("ascii") != nonce:
        return False
    age = now.timestamp() - int.from_bytes(time)
    if not -_SKEW.total_seconds() <= age < LIFE.total_seconds():
        return False
    return any(hmac.compare_digest(mac, _mac(key, time)) for key in keys)


def _mac(key: SigningKey, time: bytes) -> bytes:
    return hmac.digest(_secret(key), time, "sha256")[:_MAC]


# Once for each key: a proof is checked for each token, against all published keys.
@lru_cache(maxsize=8)
def _secret(key: SigningKey) -> bytes:
    return HKDF(SHA256(), 32, salt=None, info=b"mintls DPoP nonce").derive(encode_private_key(key.private_key))
