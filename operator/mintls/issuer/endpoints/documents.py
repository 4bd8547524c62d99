"""``GET`` of what everybody may read: metadata (RFC 8414) and keys (RFC 7517 section 5)."""

import msgspec

from mintls.core.oauth.signing_keys import algorithms, jwks
from mintls.issuer.exchange import Answer, Call
from mintls.issuer.services import Services

# The operator publishes a key far longer before it signs than anybody keeps this.
_CACHEABLE = {"Cache-Control": "public, max-age=300"}


def metadata(services: Services, call: Call) -> Answer:
    """The issuer's metadata."""
    document = services.metadata(algorithms(services.directory.signing_keys, call.now))
    return Answer(200, document, headers=_CACHEABLE)


def keys(services: Services, call: Call) -> Answer:
    """The public keys that tokens may be signed with now, and the next ones."""
    key_set = jwks(services.directory.signing_keys, call.now)
    return Answer(200, msgspec.json.encode(key_set), headers=_CACHEABLE, content_type="application/jwk-set+json")
