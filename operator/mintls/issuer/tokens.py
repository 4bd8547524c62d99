"""Access tokens that come back: verified once, however often they are asked about."""

import hashlib
from datetime import datetime

from mintls.core.oauth.access_token import AccessTokenClaims, key_id_of, read_access_token
from mintls.issuer.directory import Directory
from mintls.issuer.recent import Recent

_REMEMBERED = 4096


class Tokens:
    """Claims by the hash of the token and the key that signed it.

    A resource asks about the same token at each request, and to verify it costs more than everything else that
    introspection does. Only that a signature holds is remembered: expiry, revocation and the client's state are looked
    at each time, and a key that is published no longer takes all that it signed with it.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._verified: Recent[tuple[bytes, str], AccessTokenClaims] = Recent(_REMEMBERED)

    def read(self, token: str, now: datetime) -> AccessTokenClaims | None:
        """As ``read_access_token``, with the keys that are published now; a client's own key counts for it alone."""
        found = self._directory.verification_key(key_id_of(token), now)
        if found is None:
            return None
        key, owner = found
        # The hash: whoever can read this memory later must not find tokens in it.
        known_as = (hashlib.sha256(token.encode(errors="surrogatepass")).digest(), key.kid)
        claims = self._verified.get(known_as)
        if claims is None:
            claims = read_access_token(token, (key,))
            if claims is not None:
                self._verified.put(known_as, claims)
        if claims is None or not owner:
            return claims
        client = self._directory.client(claims.client_id)
        return claims if client and client.registration.uid == owner else None
