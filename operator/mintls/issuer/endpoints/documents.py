"""``GET`` of what everybody may read: metadata (RFC 8414) and keys (RFC 7517 section 5)."""

from collections.abc import Sequence

import msgspec

from mintls.core.oauth.client_signing_keys import keys_of_client
from mintls.core.oauth.signing_keys import SigningKey, algorithms, jwks
from mintls.issuer.errors import error_body
from mintls.issuer.exchange import Answer, Call
from mintls.issuer.services import Services

# The operator publishes a key far longer before it signs than anybody keeps this.
_CACHEABLE = {"Cache-Control": "public, max-age=300"}


def metadata(services: Services, call: Call) -> Answer:
    """The issuer's metadata."""
    known = services.directory
    document = services.metadata(algorithms(known.signing_keys, call.now), algorithms(known.public_keys, call.now))
    return Answer(200, document, headers=_CACHEABLE)


def keys(services: Services, call: Call) -> Answer:
    """The public keys that tokens may be signed with now, and the next ones."""
    return _key_set(services.directory.public_keys, call)


def client_keys(services: Services, call: Call) -> Answer:
    """The public keys of the client that the path names, and of no other; there are some if it has keys of its own."""
    client = services.directory.client(call.target)
    own = keys_of_client(client.registration, services.directory.asked_keys, call.now) if client else ()
    if not own:
        return Answer(404, error_body("not_found", "no such client, or it has no keys of its own"))
    return _key_set(own, call)


def _key_set(own: Sequence[SigningKey], call: Call) -> Answer:
    document = msgspec.json.encode(jwks(own, call.now))
    return Answer(200, document, headers=_CACHEABLE, content_type="application/jwk-set+json")
