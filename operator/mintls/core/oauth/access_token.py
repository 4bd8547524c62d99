"""Access tokens as signed JWTs (RFC 9068), bound to a certificate (RFC 8705 section 3.1)."""

from base64 import urlsafe_b64decode
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import jwt
import msgspec
from jwt.api_jws import PyJWS

from mintls.core.oauth.client import Client
from mintls.core.oauth.confirmation import Confirmation
from mintls.core.oauth.extra_claims import OWN_PREFIX
from mintls.core.oauth.signing_algorithms import ALGORITHMS, sign
from mintls.core.oauth.signing_keys import SigningKey, base64url

TYPE = "at+jwt"
"""``typ`` of the header (RFC 9068 section 2.1): tells an access token from any other JWT of the same key."""

_jws = PyJWS(algorithms=ALGORITHMS)


class Actor(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who acts for the subject of a token (RFC 8693 section 4.1): the last one outside, whoever acted before inside."""

    sub: str
    act: "Actor | None" = None


class AccessTokenClaims(msgspec.Struct, frozen=True, omit_defaults=True):
    """The claims of RFC 9068 section 2.2, times in seconds since the epoch."""

    iss: str
    sub: str
    aud: str | tuple[str, ...]
    exp: int
    iat: int
    jti: str
    client_id: str
    scope: str = ""
    cnf: Confirmation | None = None
    act: Actor | None = None
    # Not a claim: what stands beside the others in the token.
    extra: dict[str, Any] = msgspec.field(name=f"{OWN_PREFIX}extra", default_factory=dict)

    @property
    def audiences(self) -> frozenset[str]:
        """``aud`` as a set, whichever form it has."""
        return frozenset((self.aud,) if isinstance(self.aud, str) else self.aud)


class _Header(msgspec.Struct, frozen=True):
    kid: str = ""


_claims, _header = msgspec.json.Decoder(AccessTokenClaims), msgspec.json.Decoder(_Header)


@dataclass(frozen=True, slots=True)
class Behalf:
    """That a token is on somebody's behalf (RFC 8693).

    Attributes:
        sub: Who that is.
        actor: Who acts, ``act`` of the token.
        expires: The token ends no later, in seconds since the epoch.
    """

    sub: str
    actor: Actor
    expires: int


def access_token_claims(
    client: Client,
    *,
    issuer: str,
    audience: str | tuple[str, ...],
    scope: str,
    confirmation: Confirmation | None,
    certificate_end: datetime | None = None,
    jti: str,
    now: datetime,
    behalf: Behalf | None = None,
) -> AccessTokenClaims:
    """The claims of a token: for the client itself (RFC 9068 section 2.2: no resource owner), or on somebody's behalf.

    Args:
        client: Who gets it.
        issuer: ``iss``.
        audience: ``aud``.
        scope: ``scope``, "" for none.
        confirmation: ``cnf``, ``None`` for a bearer token.
        certificate_end: End of the certificate that the client presented, inclusive; ``None`` if there is none.
        jti: An identifier that nobody can guess.
        now: Time of issue (aware UTC).
        behalf: On whose behalf; ``None`` for nobody's, and ``sub`` is the client.
    """
    issued = int(now.timestamp())
    expires = issued + client.lifetime
    if certificate_end is not None and client.registration.ends_with_certificate:
        # A certificate is valid until the end of its last second, a token until the beginning of exp's (RFC 7519
        # section 4.1.4).
        expires = min(expires, int(certificate_end.timestamp()) + 1)
    if behalf is not None:
        expires = min(expires, behalf.expires)
    return AccessTokenClaims(
        iss=issuer,
        sub=behalf.sub if behalf else client.registration.client_id,
        aud=audience,
        exp=expires,
        iat=issued,
        jti=jti,
        client_id=client.registration.client_id,
        scope=scope,
        cnf=confirmation,
        act=behalf.actor if behalf else None,
        extra=dict(client.registration.extra_claims),
    )


def sign_access_token(claims: AccessTokenClaims, key: SigningKey) -> str:
    """The token, a signed JWT of its own type."""
    return sign_jwt(_payload(claims), TYPE, key)


def sign_jwt(payload: bytes, typ: str, key: SigningKey) -> str:
    """A JWS in compact serialization (RFC 7515 section 7.1), signed with the key's algorithm.

    Written out, because on this path PyJWT costs more than the signature itself. What others send is read by PyJWT.

    Args:
        payload: The claims in JSON.
        typ: ``typ`` of the header: one of its own for each kind of JWT (RFC 8725 section 3.11).
        key: Signs it.
    """
    signing_input = b"%b.%b" % (_encoded_header(key.alg, typ, key.kid), base64url(payload))
    signature = sign(key.alg, key.private_key, signing_input)
    return (b"%b.%b" % (signing_input, base64url(signature))).decode("ascii")


@lru_cache(maxsize=1024)
def _encoded_header(alg: str, typ: str, kid: str) -> bytes:
    return base64url(msgspec.json.encode({"alg": alg, "typ": typ, "kid": kid}))


def read_access_token(token: str, keys: Iterable[SigningKey]) -> AccessTokenClaims | None:
    """The claims of a token that one of the keys signed; ``None`` for anything else.

    Whether it is still good is not looked at here: see ``introspection``.
    """
    try:
        header = jwt.get_unverified_header(token)
        key = next((key for key in keys if key.kid == header.get("kid")), None)
        if key is None or header.get("typ") != TYPE:
            return None
        payload = _jws.decode(token, key.private_key.public_key(), algorithms=[key.alg])
        return _decode(payload)
    except (jwt.PyJWTError, msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def key_id_of(token: str) -> str:
    """``kid`` of a token's header, before anything is verified; "" if it cannot be read."""
    try:
        header = _header.decode(urlsafe_b64decode(token.partition(".")[0] + "=="))
    except (ValueError, RecursionError):  # of base64, of JSON, or of what is no ASCII
        return ""
    return header.kid


def _payload(claims: AccessTokenClaims) -> bytes:
    if not claims.extra:
        return msgspec.json.encode(claims)
    # The issuer's own prevail. The registration has refused their names already.
    return msgspec.json.encode(claims.extra | _members(claims))


def _members(claims: AccessTokenClaims) -> dict[str, Any]:
    members: dict[str, Any] = msgspec.to_builtins(msgspec.structs.replace(claims, extra={}))
    return members


def _decode(payload: bytes) -> AccessTokenClaims:
    claims = _claims.decode(payload)
    members: dict[str, Any] = msgspec.json.decode(payload)
    own = AccessTokenClaims.__struct_encode_fields__
    extra = {name: value for name, value in members.items() if name not in own}
    return msgspec.structs.replace(claims, extra=extra)
