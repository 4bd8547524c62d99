"""DPoP: at the token endpoint (RFC 9449 sections 5 and 8), and at a resource behind a proxy (section 7)."""

from collections.abc import Mapping

from mintls.core.oauth.client import Client
from mintls.core.oauth.dpop import normalized_uri, read_proof, spent_proof
from mintls.core.oauth.dpop_nonce import is_recent, new_nonce
from mintls.core.oauth.errors import InvalidDpopProof, Reason, UnprovenRequest, UseDpopNonce
from mintls.core.oauth.signing_keys import published_keys
from mintls.issuer.endpoints.steps import current_key, spend
from mintls.issuer.errors import DPOP_NONCE
from mintls.issuer.exchange import NO_STORE, Call
from mintls.issuer.services import Services


async def prove_key(services: Services, call: Call, client: Client) -> str:
    """The thumbprint of the key that the client proves to hold. The proof is spent then, at every replica.

    Raises:
        InvalidDpopProof: There is no proof, it does not hold, or was used before.
        UseDpopNonce: It lacks a nonce that this issuer demands.
        TemporarilyUnavailable: Nobody can tell whether it was used before.
    """
    proof = read_proof(call.header("DPoP"), method="POST", urls=services.token_urls, now=call.now)
    keys = published_keys(services.directory.signing_keys, call.now)
    if services.settings.dpop_nonce and not is_recent(proof.nonce, keys, call.now):
        raise UseDpopNonce(Reason.NO_NONCE, nonce=new_nonce(current_key(services, call), call.now))
    spent = spent_proof(proof, client.registration.client_id)
    if services.directory.is_spent(spent.name) or not await spend(services, spent):
        raise InvalidDpopProof(Reason.REPLAYED_PROOF)
    return proof.jkt


def proven_at_resource(services: Services, call: Call, access_token: str, client_id: str) -> str:
    """The thumbprint of the key that is proven for the request that a proxy asks about.

    Whether a proof was used before is known to this replica alone: else each request to a resource would cost a write
    to the Kubernetes API. Section 11.1 leaves it open; a proof is for one token, method and URL, and for a minute.

    Raises:
        UnprovenRequest: There is no proof, it does not hold, or was used before.
        TemporarilyUnavailable: There are too many.
    """
    try:
        proof = read_proof(
            call.header("DPoP"),
            method=_forwarded(call, "X-Forwarded-Method"),
            urls={_requested_url(call)},
            now=call.now,
            access_token=access_token,
        )
    except InvalidDpopProof as error:
        raise UnprovenRequest(error.reason, error.detail) from error
    if not services.replays.first(spent_proof(proof, client_id), call.now):
        raise UnprovenRequest(Reason.REPLAYED_PROOF)
    return proof.jkt


def _requested_url(call: Call) -> str:
    """What the client asked the proxy for, as the proxy says."""
    proto, host, uri = (_forwarded(call, f"X-Forwarded-{part}") for part in ("Proto", "Host", "Uri"))
    return normalized_uri(f"{proto}://{host}{uri}")


def _forwarded(call: Call, name: str) -> str:
    lines = call.header(name)
    if len(lines) != 1 or not lines[0]:
        raise InvalidDpopProof(Reason.WRONG_PROOF, f"the proxy has to send {name}, once")
    return lines[0]


def next_nonce(services: Services, call: Call) -> Mapping[str, str]:
    """Headers of an answer with the nonce for the next request (section 8.2), where nonces are demanded."""
    if not services.settings.dpop_nonce:
        return NO_STORE
    return {**NO_STORE, DPOP_NONCE: new_nonce(current_key(services, call), call.now)}
