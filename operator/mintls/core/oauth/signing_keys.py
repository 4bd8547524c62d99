"""The issuer's signing keys: the document that the operator keeps in a Secret, and which key does what when.

A key goes through four times: it is made and published (``createdAt``), it signs (``signFrom``), a later key signs
instead, and it is gone (``retireAt``), which is after the last token that it signed is dead.
"""

from binascii import b2a_base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Any

import msgspec

from mintls.core.oauth.jwk import public_members, thumbprint
from mintls.core.oauth.signing_algorithms import ALGORITHMS, fits, key_spec
from mintls.core.pki.keys import InvalidKey, PrivateKey, PublicKey, encode_private_key, load_private_key

_turn = attrgetter("sign_from", "kid")
_URL_SAFE = bytes.maketrans(b"+/", b"-_")


class SigningKeysBroken(ValueError):  # noqa: N818 - reads as the sentence that it stands for
    """The document cannot be used. The message names what is wrong and never holds key material."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One signing key, parsed once.

    Attributes:
        kid: Its id: its RFC 7638 thumbprint.
        alg: ``alg`` of what it signs (RFC 7518 section 3.1).
        private_key: The key. Not in the repr.
        created_at: When it was made; published from then on.
        sign_from: When it begins to sign.
        retire_at: When it is gone; ``None`` while that is open.
    """

    kid: str
    alg: str
    private_key: PrivateKey = field(repr=False)
    created_at: datetime
    sign_from: datetime
    retire_at: datetime | None = None


class _Entry(msgspec.Struct, frozen=True, rename="camel"):
    kid: str
    alg: str
    private_key: str
    created_at: datetime
    sign_from: datetime
    retire_at: datetime | None = None

    def __repr__(self) -> str:
        return f"_Entry(kid={self.kid!r})"


class _Document(msgspec.Struct, frozen=True):
    keys: tuple[_Entry, ...]


_decoder = msgspec.json.Decoder(_Document)


def decode_signing_keys(document: bytes) -> tuple[SigningKey, ...]:
    """Read ``keys.json``.

    Raises:
        SigningKeysBroken: It is not of the documented shape, or a key is not what it says it is.
    """
    try:
        entries = _decoder.decode(document).keys
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # The message of msgspec has a path and types, no value; the cause could still hold the input.
        raise SigningKeysBroken(f"keys.json is not a signing-key document: {_without_values(error)}") from None
    return tuple(_parse(entry) for entry in entries)


def encode_signing_keys(keys: Sequence[SigningKey]) -> bytes:
    """Write ``keys.json``. The same keys give the same bytes."""
    entries = tuple(
        _Entry(
            kid=key.kid,
            alg=key.alg,
            private_key=encode_private_key(key.private_key).decode("ascii"),
            created_at=key.created_at,
            sign_from=key.sign_from,
            retire_at=key.retire_at,
        )
        for key in keys
    )
    return msgspec.json.encode(_Document(entries))


def key_id(public_key: PublicKey) -> str:
    """``kid``: the JWK thumbprint with SHA-256 (RFC 7638 section 3), so that no two keys share one."""
    return thumbprint(public_key)


def algorithms(keys: Sequence[SigningKey], now: datetime) -> tuple[str, ...]:
    """The algorithms that tokens may be signed with now, and the next ones."""
    published = {key.alg for key in published_keys(keys, now)}
    return tuple(alg for alg in ALGORITHMS if alg in published)


def published_keys(keys: Sequence[SigningKey], now: datetime) -> tuple[SigningKey, ...]:
    """The keys that a resource may meet: all but the retired ones."""
    return tuple([key for key in keys if key.retire_at is None or now < key.retire_at])


def signing_key(keys: Sequence[SigningKey], now: datetime) -> SigningKey | None:
    """The key that signs now: of those whose time has come the latest.

    If none has come, the earliest signs: a clock slightly behind the operator's must not stop the first key, and it is
    published already.
    """
    usable = published_keys(keys, now)
    due = [key for key in usable if key.sign_from <= now]
    return max(due, key=_turn) if due else min(usable, key=_turn, default=None)


def jwks(keys: Sequence[SigningKey], now: datetime) -> dict[str, Any]:
    """The JWK Set (RFC 7517 section 5) of the published keys; no private member is ever in it."""
    return {
        "keys": [
            {**public_members(key.private_key.public_key()), "kid": key.kid, "alg": key.alg, "use": "sig"}
            for key in published_keys(keys, now)
        ]
    }


def _parse(entry: _Entry) -> SigningKey:
    if entry.alg not in ALGORITHMS:
        raise SigningKeysBroken(f"signing key {entry.kid}: alg {entry.alg!r} is not one of {', '.join(ALGORITHMS)}")
    try:
        private_key = load_private_key(entry.private_key.encode())
    except InvalidKey as error:
        raise SigningKeysBroken(f"signing key {entry.kid}: privateKey: {error}") from None
    if not fits(entry.alg, private_key):
        wanted = key_spec(entry.alg)
        kind = f"{wanted.algorithm} of {wanted.size} bits"
        raise SigningKeysBroken(f"signing key {entry.kid}: privateKey is not {kind}, which alg {entry.alg} needs")
    _check_kid(entry.kid, private_key)
    _check_times(entry)
    return SigningKey(
        kid=entry.kid,
        alg=entry.alg,
        private_key=private_key,
        created_at=entry.created_at,
        sign_from=entry.sign_from,
        retire_at=entry.retire_at,
    )


def _check_kid(kid: str, private_key: PrivateKey) -> None:
    thumbprint = key_id(private_key.public_key())
    if kid != thumbprint:
        raise SigningKeysBroken(f"signing key {kid}: kid is not the key's RFC 7638 thumbprint, {thumbprint}")


def _check_times(entry: _Entry) -> None:
    for name, time in (("createdAt", entry.created_at), ("signFrom", entry.sign_from), ("retireAt", entry.retire_at)):
        if time is not None and time.tzinfo is None:
            raise SigningKeysBroken(f"signing key {entry.kid}: {name} has no time zone: write it with Z")


def base64url(octets: bytes) -> bytes:
    """Base64url without padding (RFC 7515 section 2)."""
    return b2a_base64(octets, newline=False).translate(_URL_SAFE).rstrip(b"=")


def _without_values(error: Exception) -> str:
    return str(error) if isinstance(error, msgspec.ValidationError) else "malformed JSON"
