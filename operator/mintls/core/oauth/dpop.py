"""Proofs of possession of a key (DPoP, RFC 9449): what a proof has to say, and which key it proves.

A proof is for one request: its method and URL, about now, and once. Whether it was used before is looked at elsewhere,
for all replicas.
"""

import hashlib
import re
from base64 import urlsafe_b64encode
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import jwt
import msgspec
from jwt.api_jws import PyJWS

from mintls.core.oauth.client_assertion import ALGORITHMS, KeyNotUsable, keys_of_jwks
from mintls.core.oauth.errors import InvalidDpopProof, Reason
from mintls.core.oauth.jwk import PRIVATE_MEMBERS, thumbprint
from mintls.core.oauth.self_signed import Jwk
from mintls.core.oauth.spent import Spent, Use

__all__ = ["ALGORITHMS", "TYPE", "Proof", "normalized_uri", "read_proof", "spent_proof"]

TYPE = "dpop+jwt"
"""``typ`` of the header (section 4.2): tells a proof from any other JWT of the key."""
# Section 11.1: seconds or minutes. A proof is made for its request, so what is older was kept.
LONGEST_LIFE = timedelta(minutes=1)
_SKEW = timedelta(seconds=30)
_LONGEST_IDENTIFIER = 256
_LONGEST_PROOF = 8 * 1024
_PORTS = {"https": 443, "http": 80}
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")

_jws = PyJWS(algorithms=ALGORITHMS)


@dataclass(frozen=True, slots=True)
class Proof:
    """A proof that holds, but for whether it was used before.

    Attributes:
        jkt: The RFC 7638 thumbprint of the key that it proves.
        jti: Its identifier.
        nonce: The server's nonce in it, "" for none.
        expires: When it is of no use anyway, aware UTC.
    """

    jkt: str
    jti: str
    nonce: str
    expires: datetime


class _Claims(msgspec.Struct, frozen=True):
    """Section 4.2."""

    jti: str
    htm: str
    htu: str
    iat: int | float
    ath: str | None = None
    nonce: str | None = None


_claims = msgspec.json.Decoder(_Claims)


def read_proof(
    lines: tuple[str, ...], *, method: str, urls: Collection[str], now: datetime, access_token: str | None = None
) -> Proof:
    """Check a proof as section 4.3 says.

    Args:
        lines: The lines of the header ``DPoP``.
        method: Method of the request.
        urls: What its URL may be called, each as ``normalized_uri`` gives it.
        now: Aware UTC.
        access_token: The token that the request presents; ``None`` where it asks for one.

    Raises:
        InvalidDpopProof: There is none, or it does not hold.
    """
    if len(lines) != 1 or len(lines[0]) > _LONGEST_PROOF:
        raise _wrong(f"the header is there {len(lines)} times, or too long")
    jkt, payload = _verified(lines[0].strip(" \t"))
    try:
        claims = _claims.decode(payload)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise _wrong("jti, htm, htu or iat is missing or of a wrong type") from None
    problem = (
        _wrong_request(claims, method, urls)
        or _wrong_time(claims, now)
        or _wrong_identifier(claims)
        or _wrong_token(claims, access_token)
    )
    if problem:
        raise _wrong(problem)
    return Proof(jkt, claims.jti, claims.nonce or "", datetime.fromtimestamp(claims.iat, UTC) + LONGEST_LIFE)


def spent_proof(proof: Proof, client_id: str) -> Spent:
    """What has to be spent: the proof counts only for whoever spends it first (section 11.1)."""
    return Spent(Use.DPOP_PROOF, client_id, proof.jti, proof.expires)


def normalized_uri(uri: str) -> str:
    """A URL without query and fragment, in the one way to write it (RFC 3986 sections 6.2.2 and 6.2.3).

    Returns:
        "" if it is no absolute http or https URL.
    """
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return ""
    scheme, host = parts.scheme.lower(), (parts.hostname or "").lower()
    if scheme not in _PORTS or not host or "@" in parts.netloc or not uri.isascii():
        return ""
    bracketed = f"[{host}]" if ":" in host else host
    authority = bracketed if port in {None, _PORTS[scheme]} else f"{bracketed}:{port}"
    return f"{scheme}://{authority}{_without_dots(_escaped(parts.path))}"


def _verified(proof: str) -> tuple[str, bytes]:
    """Thumbprint of the key that the proof carries and that signed it, and the payload."""
    try:
        header = jwt.get_unverified_header(proof)
    except (jwt.PyJWTError, UnicodeError, RecursionError):
        raise _wrong("no JWT in compact serialization") from None
    typ, alg, members = header.get("typ"), header.get("alg"), header.get("jwk")
    if not isinstance(typ, str) or typ.lower().removeprefix("application/") != TYPE:
        raise _wrong(f"typ is {str(typ)[:64]!r}: another kind of JWT")
    if "crit" in header:  # RFC 7515 section 4.1.11: nothing is understood here that would need it
        raise _wrong("crit is given")
    if alg not in ALGORITHMS:
        raise _wrong(f"alg is {str(alg)[:64]!r}, none of {', '.join(ALGORITHMS)}")
    key = _public_key(members, alg)
    try:
        return thumbprint(key), _jws.decode(proof, key, algorithms=[alg])
    except (jwt.PyJWTError, UnicodeError, ValueError):
        raise _wrong("its own key did not sign it") from None


def _public_key(members: Any, alg: str) -> Any:
    if not isinstance(members, dict) or PRIVATE_MEMBERS & members.keys():
        raise _wrong("jwk is no public key")
    try:
        [key] = keys_of_jwks((Jwk({name: members[name] for name in members if name != "kid"}, ()),), "jwk")
    except KeyNotUsable as error:
        raise _wrong(str(error)[:256]) from None
    if alg not in key.algorithms:
        raise _wrong(f"jwk is for {', '.join(key.algorithms)}, not for {alg}")
    return key.public_key


def _wrong_request(claims: _Claims, method: str, urls: Collection[str]) -> str:
    """Methods have a case (RFC 9110 section 9.1)."""
    if claims.htm != method:
        return f"htm is {claims.htm[:32]!r}, the method is {method[:32]!r}"
    return "" if normalized_uri(claims.htu) in urls and claims.htu else f"htu is {claims.htu[:256]!r}: another URL"


def _wrong_time(claims: _Claims, now: datetime) -> str:
    # Compared, never subtracted: a number in JSON may be larger than any float.
    seconds = now.timestamp()
    if claims.iat <= seconds - LONGEST_LIFE.total_seconds():
        return "iat is too long ago"
    return "iat is in the future" if claims.iat > seconds + _SKEW.total_seconds() else ""


def _wrong_identifier(claims: _Claims) -> str:
    return "" if 0 < len(claims.jti) <= _LONGEST_IDENTIFIER else f"jti must have 1 to {_LONGEST_IDENTIFIER} characters"


def _wrong_token(claims: _Claims, access_token: str | None) -> str:
    if access_token is None:
        return ""
    digest = urlsafe_b64encode(hashlib.sha256(access_token.encode()).digest()).rstrip(b"=").decode("ascii")
    return "" if claims.ath == digest else "ath is not the hash of the access token"


def _escaped(path: str) -> str:
    """Percent-encodings in upper case, and none of what needs none (RFC 3986 sections 6.2.2.1 and 6.2.2.2)."""

    def one(found: re.Match[str]) -> str:
        letter = chr(int(found[1], 16))
        return letter if letter in _UNRESERVED else found[0].upper()

    return re.sub(r"%([0-9A-Fa-f]{2})", one, path)


def _without_dots(path: str) -> str:
    """RFC 3986 section 5.2.4; an empty path is ``/`` (section 6.2.3)."""
    kept: list[str] = []
    segments = path.split("/")[1:] or [""]
    for at, segment in enumerate(segments):
        if segment == "..":
            del kept[-1:]
        if segment not in {".", ".."}:
            kept.append(segment)
        elif at == len(segments) - 1:
            kept.append("")
    return "/" + "/".join(kept)


def _wrong(detail: str) -> InvalidDpopProof:
    return InvalidDpopProof(Reason.WRONG_PROOF, detail)
