"""Client authentication by a signed assertion: ``private_key_jwt`` (RFC 7523 sections 2.2 and 3, RFC 7521 section 4.2).

As the update of RFC 7523 (draft-ietf-oauth-rfc7523bis) wants it, an assertion is for this issuer alone: ``aud`` is the
issuer's identifier and nothing beside it, never the URL of an endpoint, which another server could name as its own
(CVE-2025-27370). Only asymmetric algorithms; each assertion counts once, so it has to have a ``jti``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.api_jws import PyJWS

from mintls.core.oauth.errors import InvalidClient, InvalidRequest, Reason, UnknownKey
from mintls.core.oauth.form import Form
from mintls.core.oauth.self_signed import Jwk
from mintls.core.oauth.spent import Spent, Use

PRIVATE_KEY_JWT = "private_key_jwt"
"""OpenID Connect Core 1.0 section 9, registered by RFC 7591 section 4.2.2's registry."""
ALGORITHMS = ("ES256", "ES384", "PS256", "RS256", "EdDSA")
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
LONGEST_LIFE = timedelta(minutes=5)
# Clocks of clients may be this much ahead.
_SKEW = timedelta(seconds=30)
_LONGEST_IDENTIFIER = 256
_SHORTEST_RSA = 2048
# The explicit type, and what libraries send that are older than it. Any other names another kind of JWT, which must not
# be taken for an assertion (RFC 8725 section 3.12). Media types have no case, and lack "application/" (RFC 7515 4.1.9).
_TYPES = frozenset({"client-authentication+jwt", "jwt"})
_OF_THE_KEY = frozenset({"kty", "crv", "x", "y", "n", "e"})

_jws = PyJWS(algorithms=ALGORITHMS)


class KeyNotUsable(ValueError):  # noqa: N818 - reads as the sentence that it stands for
    """A key cannot be registered; the message names the field, what is wrong and what would be right."""


@dataclass(frozen=True, slots=True)
class AssertionKey:
    """A public key that a client registered.

    Attributes:
        kid: Its name, "" for none.
        algorithms: Which of ``ALGORITHMS`` it verifies.
        public_key: The key.
        members: The public members as JWK, for whoever reads the registration.
    """

    kid: str
    algorithms: tuple[str, ...]
    public_key: Any
    members: tuple[tuple[str, str], ...]

    @property
    def jwk(self) -> dict[str, str]:
        """As JWK (RFC 7517 section 4)."""
        return dict(self.members) | ({"kid": self.kid} if self.kid else {})


# What an assertion is verified with if there is no such client: the point G itself, whose key everybody knows, so a
# signature that it verifies proves nothing and is refused as any other.
_NOBODYS = AssertionKey("", ("ES256",), ec.derive_private_key(1, ec.SECP256R1()).public_key(), ())


class _Claims(msgspec.Struct, frozen=True):
    """RFC 7523 section 3. ``jti`` is optional there; without it nobody could tell a replay."""

    iss: str
    sub: str
    aud: str | tuple[str, ...]
    exp: int | float
    jti: str
    iat: int | float | None = None
    nbf: int | float | None = None


_claims = msgspec.json.Decoder(_Claims)


def keys_of_jwks(keys: Iterable[Jwk], path: str) -> tuple[AssertionKey, ...]:
    """The keys of a JWK Set that verify assertions.

    Args:
        keys: The keys as registered.
        path: The field, for messages.

    Raises:
        KeyNotUsable: One cannot be read, is too weak, or is for something else.
    """
    found = tuple(_key(key, f"{path}[{at}]") for at, key in enumerate(keys))
    named = [key.kid for key in found if key.kid]
    if len(set(named)) != len(named):
        raise KeyNotUsable(f"{path} has two keys of one kid: an assertion could not say which one signed it")
    return found


def presented_assertion(form: Form) -> str | None:
    """The assertion of a request (RFC 7521 section 4.2), ``None`` if it has none.

    Raises:
        InvalidRequest: One of the two parameters is missing, or the assertion is of another type.
    """
    if form.lacks("client_assertion", "client_assertion_type"):
        return None
    assertion, assertion_type = form.one("client_assertion"), form.one("client_assertion_type")
    if assertion is None or assertion_type != ASSERTION_TYPE:
        raise InvalidRequest(Reason.ASSERTION_TYPE, repr((assertion_type or "")[:128]))
    return assertion


def claimed_subject(assertion: str) -> str:
    """Who the assertion says it is, before anything is verified; "" if that cannot be read."""
    try:
        claims = msgspec.json.decode(_jws_payload(assertion), type=dict[str, Any])
    except (jwt.PyJWTError, msgspec.DecodeError, UnicodeError, RecursionError):
        return ""
    subject = claims.get("sub")
    return subject if isinstance(subject, str) else ""


def verify_assertion(
    assertion: str, *, client_id: str, keys: Sequence[AssertionKey], issuer: str, now: datetime
) -> Spent:
    """Make sure that the client itself made the assertion, for this issuer, just now.

    Args:
        assertion: The JWT.
        client_id: Who the caller says it is.
        keys: What that client registered; a signature is checked as well if that is nothing.
        issuer: This issuer's identifier.
        now: Aware UTC.

    Returns:
        What has to be spent: the assertion counts only for whoever spends it first.

    Raises:
        InvalidClient: It proves nothing; ``reason`` and ``detail`` say why.
        UnknownKey: None of the keys signed it.
    """
    claims = _read(_verified(assertion, keys or (_NOBODYS,)))
    problem = (
        _wrong_names(claims, client_id)
        or _wrong_audience(claims, issuer)
        or _wrong_times(claims, now)
        or _wrong_identifier(claims)
    )
    if problem:
        raise InvalidClient(Reason.WRONG_ASSERTION, problem)
    return Spent(Use.CLIENT_ASSERTION, client_id, claims.jti, datetime.fromtimestamp(claims.exp, UTC))


def _verified(assertion: str, keys: Sequence[AssertionKey]) -> bytes:
    """The payload, if one of the keys signed it (RFC 7523 section 3 rule 9, RFC 8725 section 3.1)."""
    try:
        header = jwt.get_unverified_header(assertion)
    except (jwt.PyJWTError, UnicodeError, RecursionError):
        raise InvalidClient(Reason.WRONG_ASSERTION, "no JWT in compact serialization") from None
    typ, alg, kid = header.get("typ", "jwt"), header.get("alg"), header.get("kid")
    if not isinstance(typ, str) or typ.lower().removeprefix("application/") not in _TYPES:
        raise InvalidClient(Reason.WRONG_ASSERTION, f"typ is {str(typ)[:64]!r}: another kind of JWT")
    if "crit" in header:  # RFC 7515 section 4.1.11: nothing is understood here that would need it
        raise InvalidClient(Reason.WRONG_ASSERTION, "crit is given")
    if alg not in ALGORITHMS:
        raise InvalidClient(Reason.WRONG_ASSERTION, f"alg is {str(alg)[:64]!r}, none of {', '.join(ALGORITHMS)}")
    fitting = [key for key in keys if alg in key.algorithms and (kid is None or not key.kid or key.kid == kid)]
    for key in fitting:
        try:
            payload: bytes = _jws.decode(assertion, key.public_key, algorithms=[alg])
        except (jwt.PyJWTError, UnicodeError, ValueError):
            continue
        return payload
    raise UnknownKey(Reason.WRONG_ASSERTION, f"none of the {len(fitting)} keys for its alg and kid signed it")


def _read(payload: bytes) -> _Claims:
    try:
        return _claims.decode(payload)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise InvalidClient(Reason.WRONG_ASSERTION, "iss, sub, aud, exp or jti is missing or of a wrong type") from None


def _wrong_names(claims: _Claims, client_id: str) -> str:
    """Rules 1 and 2: both are the client."""
    return "" if claims.iss == claims.sub == client_id else "iss and sub must both be the client_id"


def _wrong_audience(claims: _Claims, issuer: str) -> str:
    """Rule 3 as updated: the issuer's identifier, letter by letter, and no other audience beside it."""
    audiences = (claims.aud,) if isinstance(claims.aud, str) else claims.aud
    return "" if audiences == (issuer,) else "aud must be the issuer's identifier, and nothing else"


def _wrong_times(claims: _Claims, now: datetime) -> str:
    """Rules 4 to 6. The end is exact: what is spent may be forgotten then."""
    seconds, latest = now.timestamp(), (now + _SKEW).timestamp()
    if claims.exp <= seconds:
        return "exp is over"
    if claims.exp > latest + LONGEST_LIFE.total_seconds():
        return f"exp is more than {LONGEST_LIFE.total_seconds():.0f} s away"
    if claims.iat is not None and not seconds - LONGEST_LIFE.total_seconds() <= claims.iat <= latest:
        return "iat is in the future, or too long ago"
    return "nbf is in the future" if claims.nbf is not None and claims.nbf > latest else ""


def _wrong_identifier(claims: _Claims) -> str:
    return "" if 0 < len(claims.jti) <= _LONGEST_IDENTIFIER else f"jti must have 1 to {_LONGEST_IDENTIFIER} characters"


def _jws_payload(assertion: str) -> bytes:
    payload: bytes = _jws.decode_complete(assertion, options={"verify_signature": False})["payload"]
    return payload


def _key(key: Jwk, path: str) -> AssertionKey:
    for name in ("kid", "use", "alg"):
        if not isinstance(key.members.get(name), str | None):
            raise KeyNotUsable(f"{path}.{name} must be a string (RFC 7517 section 4)")
    if key.members.get("use") not in {None, "sig"}:
        raise KeyNotUsable(f"{path}.use must be sig, or left out: the key is for signatures (RFC 7517 section 4.2)")
    public = {name: str(key.members[name]) for name in sorted(_OF_THE_KEY & key.members.keys()) if key.members[name]}
    try:
        found = jwt.PyJWK.from_dict(public).key
    except (jwt.PyJWTError, ValueError, KeyError, TypeError) as error:
        raise KeyNotUsable(f"{path} is not a public key in JWK (RFC 7517 section 4): {error}") from error
    algorithms, stated = _algorithms(found), key.members.get("alg")
    if not algorithms:
        raise KeyNotUsable(
            f"{path} has a key that is too weak or of an unknown kind: use P-256, P-384, Ed25519, or RSA from "
            f"{_SHORTEST_RSA} bits on"
        )
    if stated is not None and stated not in algorithms:
        raise KeyNotUsable(f"{path}.alg must be one of {', '.join(algorithms)}, which the key is good for")
    return AssertionKey(
        kid=key.members.get("kid") or "",
        algorithms=(stated,) if stated else algorithms,
        public_key=found,
        members=tuple(public.items()),
    )


def _algorithms(key: Any) -> tuple[str, ...]:
    match key:
        case ec.EllipticCurvePublicKey(curve=ec.SECP256R1()):
            return ("ES256",)
        case ec.EllipticCurvePublicKey(curve=ec.SECP384R1()):
            return ("ES384",)
        case rsa.RSAPublicKey(key_size=size) if size >= _SHORTEST_RSA:
            return ("PS256", "RS256")
        case ed25519.Ed25519PublicKey():
            return ("EdDSA",)
    return ()
