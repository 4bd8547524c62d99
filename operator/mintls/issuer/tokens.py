"""Access tokens that come back: verified once, however often they are asked about."""

import hashlib
from datetime import datetime

from mintls.core.oauth.access_token import AccessTokenClaims, read_access_token
from mintls.core.oauth.signing_keys import published_keys
from mintls.issuer.directory import Directory
from mintls.issuer.recent import Recent

_REMEMBERED = 4096


class Tokens:
    """Claims by the hash of the token and the keys that are published.

    A resource asks about the same token at each request, and to verify it costs more than everything else that
    introspection does. Only that a signature holds is remembered: expiry, revocation and the client's state are looked
    at each time, and a key that is published no longer takes all that it signed with it.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._verified: Recent[tuple[bytes, tuple[str, ...]], AccessTokenClaims] = Recent(_REMEMBERED)

    def read(self, token: str, now: datetime) -> AccessTokenClaims | None:
        """As ``read_access_token``, with the keys that are published now."""
        keys = published_keys(self._directory.signing_keys, now)
        # The hash: whoever can read this memory later must not find tokens in it.
        known_as = (hashlib.sha256(token.encode(errors="surrogatepass")).digest(), tuple(key.kid for key in keys))
        claims = self._verified.get(known_as)
        if claims is None:
            claims = read_access_token(token, keys)
            if claims is not None:
                self._verified.put(known_as, claims)
        return claims
