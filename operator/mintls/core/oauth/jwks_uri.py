"""The JWK Set that a client keeps at a URL (``jwks_uri``, RFC 7591 section 2): which URL, how long, and what is in it.

What stands in an object is its author's, and refused if a part of it is no use. What stands at a URL changes while
nobody looks: whatever is no use there is left out (RFC 7517 section 5), as long as something is left.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import msgspec

from mintls.core.oauth.client_assertion import PRIVATE_KEY_JWT, KeyNotUsable, keys_of_jwks
from mintls.core.oauth.client_keys import ClientKeys
from mintls.core.oauth.jwk import PRIVATE_MEMBERS
from mintls.core.oauth.self_signed import CertificateNotUsable, Jwk, certificates_of_jwks

LARGEST = 64 * 1024
"""Octets of a document: 16 certificates with chains fit many times."""
MOST_KEYS = 16
LONGEST_URI = 512

FLOOR, CEILING = timedelta(minutes=1), timedelta(hours=1)
"""Nobody is asked more often because its headers say so, and no key that was taken out counts for longer."""
UNSAID = timedelta(minutes=5)
"""How long a document is fresh that says nothing about it."""

# RFC 9110 section 5.6.4 lets a value be quoted.
_SECONDS = re.compile(r'"?([0-9]{1,10})"?')


class UriNotUsable(ValueError):  # noqa: N818 - reads as the sentence that it stands for
    """A URL cannot be registered; the message says what is wrong and what would be right."""


class JwksNotUsable(ValueError):  # noqa: N818 - reads as the sentence that it stands for
    """A document holds nothing that could authenticate the client; the message says why."""


class _Document(msgspec.Struct, frozen=True):
    """RFC 7517 section 5."""

    keys: tuple[dict[str, Any], ...]


def check_uri(uri: str) -> str:
    """A URL that may be registered, as it is.

    Raises:
        UriNotUsable: It is another scheme's than https, has a user or a fragment, or is no URL at all.
    """
    wanted = "must be an https URL without user and fragment, such as https://billing.example/jwks.json"
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise UriNotUsable(wanted) from None
    if parts.scheme != "https" or not host or "@" in parts.netloc or "#" in uri or len(uri) > LONGEST_URI:
        raise UriNotUsable(wanted)
    if not uri.isascii() or not uri.isprintable() or " " in uri or "\\" in uri:
        raise UriNotUsable(wanted)
    return uri


def fresh_for(cache_control: Sequence[str], age: str | None) -> timedelta:
    """How long a document need not be asked for again (RFC 9111 sections 4.2 and 5.2.2), within floor and ceiling.

    ``no-store`` and ``no-cache`` are asked for at the floor: for a moment the document has to be kept to be used.

    Args:
        cache_control: The lines of ``Cache-Control``.
        age: ``Age``, how old the answer of a cache on the way was; ``None`` without.
    """
    directives = dict(_directives(",".join(cache_control)))
    if directives.keys() & {"no-store", "no-cache"}:
        return FLOOR
    stated = _seconds(directives.get("max-age"))
    if stated is None:
        return UNSAID
    return min(max(stated - (_seconds(age) or timedelta()), FLOOR), CEILING)


def keys_in(document: bytes, method: str) -> ClientKeys:
    """What in a document authenticates a client of a method.

    Raises:
        JwksNotUsable: It is no JWK Set, or nothing in it does.
    """
    jwks = _jwks(document)
    if method == PRIVATE_KEY_JWT:
        keys = _each(lambda jwk, path: keys_of_jwks([jwk], path), jwks, KeyNotUsable)
        return ClientKeys(keys=keys)
    found = _each(lambda jwk, path: certificates_of_jwks([jwk], path), jwks, CertificateNotUsable)
    return ClientKeys(certificates=frozenset(one.certificate for one in found))


def _each[T](
    read: Callable[[Jwk, str], tuple[T, ...]], jwks: Sequence[Jwk], unusable: type[ValueError]
) -> tuple[T, ...]:
    found: list[T] = []
    problems: list[str] = []
    for at, jwk in enumerate(jwks):
        try:
            found += read(jwk, f"keys[{at}]")
        except unusable as error:
            problems.append(str(error).replace(f"keys[{at}][0]", f"keys[{at}]"))
    if not found:
        raise JwksNotUsable(f"no key in it can be used: {problems[0] if problems else 'keys is empty'}")
    return tuple(found)


def _jwks(document: bytes) -> tuple[Jwk, ...]:
    try:
        keys = msgspec.json.decode(document, type=_Document).keys
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        raise JwksNotUsable("it is no JWK Set: JSON with a list of objects as keys (RFC 7517 section 5)") from None
    return tuple(_jwk(members) for members in keys[:MOST_KEYS] if not members.keys() & PRIVATE_MEMBERS)


def _jwk(members: dict[str, Any]) -> Jwk:
    x5c = members.get("x5c")
    texts = {name: value for name, value in members.items() if isinstance(value, str)}
    chain = tuple(one for one in x5c if isinstance(one, str)) if isinstance(x5c, list) else ()
    return Jwk(members=texts, x5c=chain[:1])


def _directives(cache_control: str) -> Iterable[tuple[str, str]]:
    """RFC 9111 section 5.2: names have no case; of two of one name the first counts (section 4.2.1)."""
    seen: set[str] = set()
    for part in cache_control.split(","):
        name, _, value = part.strip().partition("=")
        if name.lower() not in seen:
            seen.add(name.lower())
            yield name.lower(), value.strip()


def _seconds(text: str | None) -> timedelta | None:
    found = _SECONDS.fullmatch(text.strip()) if text else None
    return timedelta(seconds=int(found[1])) if found else None
