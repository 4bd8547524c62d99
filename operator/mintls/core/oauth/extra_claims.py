"""Claims that a registration adds to each of the client's tokens, and the names that it may not use for them."""

import re
from collections.abc import Iterable, Mapping

RESERVED = frozenset(
    {
        *("iss", "sub", "aud", "exp", "nbf", "iat", "jti"),  # RFC 7519 section 4.1
        *("client_id", "scope", "auth_time", "acr", "amr"),  # RFC 9068 section 2.2
        *("cnf", "act", "may_act"),  # RFC 7800 section 3.1, RFC 8693 section 4
        *("azp", "nonce", "at_hash", "c_hash", "sid", "events", "authorization_details"),  # what else is believed
        *("active", "token_type", "username"),  # RFC 7662 section 2.2
    }
)
"""Names by which a resource knows who may do what, for how long, and with which proof."""

OWN_PREFIX = "mintls_"
"""Claims of the issuer's own begin so."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.:/-]{0,127}")


class ClaimNotAllowed(ValueError):  # noqa: N818 - reads as the sentence that it stands for
    """A claim may not be added; the message names it and says what would be right."""


def check_claims(claims: Mapping[str, str], path: str) -> None:
    """Make sure that the claims add to a token and change nothing in it.

    Args:
        claims: By name.
        path: The field, for messages.

    Raises:
        ClaimNotAllowed: A name is reserved, or is none.
    """
    reserved = _joined(name for name in claims if name in RESERVED or name.startswith(OWN_PREFIX))
    if reserved:
        raise ClaimNotAllowed(f"{path} has {reserved}, which the issuer alone says: take another name, such as tenant")
    unfit = _joined(name for name in claims if not _NAME.fullmatch(name))
    if unfit:
        raise ClaimNotAllowed(f"{path} has {unfit}: a name is up to 128 letters, digits and _ . : / -, a letter first")


def _joined(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names))
