"""Who may register clients: an initial access token (RFC 7591 section 3) with what its holder may register.

A grant is a Secret of the operator's namespace. Its values are lists of words, as ``scope`` is on the wire.
"""

import hashlib
import hmac
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from mintls.core.oauth.metadata import AUTH_METHODS
from mintls.core.oauth.token_request import is_absolute_uri, is_scope

DEFAULT_CLIENTS = 100
# RFC 6750 section 2.1: b64token. The length makes a word of a dictionary unlikely, and a mistake, too.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{32,512}=*")
_NUMBER = re.compile(r"[1-9][0-9]{0,4}")
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_KEYS = frozenset({"token", "methods", "scopes", "audiences", "authorities", "maxClients"})


class GrantNotUsable(ValueError):  # noqa: N818 - reads as the sentence that it stands for
    """A grant cannot be used; the message names the key of the Secret and what would be right, and shows no value."""


@dataclass(frozen=True, slots=True)
class RegistrationGrant:
    """What the holder of an initial access token may register.

    Attributes:
        name: Name of the Secret.
        namespace: Where the OAuthClients are made.
        token_hash: SHA-256 of the initial access token.
        methods: Values of ``token_endpoint_auth_method``; the first is the default.
        scopes: Scopes that a client may have.
        audiences: Resources that each client's tokens are for (RFC 8707).
        authorities: CertificateAuthorities that may vouch for the clients.
        max_clients: How many clients there may be of it at a time.
    """

    name: str
    namespace: str
    token_hash: bytes = field(repr=False)
    methods: tuple[str, ...] = ("tls_client_auth",)
    scopes: tuple[str, ...] = ()
    audiences: tuple[str, ...] = ()
    authorities: tuple[str, ...] = ("default",)
    max_clients: int = DEFAULT_CLIENTS


def read_grant(name: str, namespace: str, data: Mapping[str, bytes]) -> RegistrationGrant:
    """The grant that a Secret holds.

    Args:
        name: Name of the Secret.
        namespace: Where its clients are made.
        data: The Secret's data, decoded.

    Raises:
        GrantNotUsable: A key is missing, unknown or malformed.
    """
    unknown = sorted(data.keys() - _KEYS)
    if unknown:
        raise GrantNotUsable(f"{unknown[0]} is unknown: a grant has {', '.join(sorted(_KEYS))}")
    return RegistrationGrant(
        name=name,
        namespace=namespace,
        token_hash=token_hash(_token(data)),
        methods=_words(data, "methods", AUTH_METHODS.__contains__, f"one of {', '.join(AUTH_METHODS)}")
        or ("tls_client_auth",),
        scopes=_words(data, "scopes", is_scope, "scopes of RFC 6749 section 3.3"),
        audiences=_words(data, "audiences", is_absolute_uri, "absolute URIs"),
        authorities=_words(data, "authorities", _NAME.fullmatch, "names of CertificateAuthorities") or ("default",),
        max_clients=_count(data),
    )


def token_hash(token: str) -> bytes:
    """SHA-256 of a token of at least 128 random bits: nobody finds the token by it."""
    return hashlib.sha256(token.encode(errors="surrogatepass")).digest()


def grant_of(grants: Iterable[RegistrationGrant], token: str) -> RegistrationGrant | None:
    """The grant that an initial access token belongs to. Takes as long for a token that is nearly right as for any."""
    presented = token_hash(token)
    found = [grant for grant in grants if hmac.compare_digest(grant.token_hash, presented)]
    return found[0] if found else None


def _token(data: Mapping[str, bytes]) -> str:
    token = _text(data, "token").strip()
    if not _TOKEN.fullmatch(token):
        raise GrantNotUsable(
            "token must be 32 to 512 letters, digits and -._~+/ (RFC 6750 section 2.1), such as `openssl rand -hex 32` "
            "prints"
        )
    return token


def _words(data: Mapping[str, bytes], key: str, fits: Callable[[str], object], right: str) -> tuple[str, ...]:
    words = tuple(dict.fromkeys(_text(data, key).split()))
    if not all(fits(word) for word in words):
        raise GrantNotUsable(f"{key} must be {right}, with blanks between them")
    return words


def _count(data: Mapping[str, bytes]) -> int:
    text = _text(data, "maxClients").strip() or str(DEFAULT_CLIENTS)
    if not _NUMBER.fullmatch(text):
        raise GrantNotUsable("maxClients must be a number from 1 to 99999")
    return int(text)


def _text(data: Mapping[str, bytes], key: str) -> str:
    try:
        return data.get(key, b"").decode("ascii")
    except UnicodeDecodeError:
        raise GrantNotUsable(f"{key} must be ASCII") from None
