"""DPoP: at the token endpoint (RFC 9449 sections 5 and 8), and at a resource behind a proxy (section 7)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mintls.core.oauth.client import Client
from mintls.core.oauth.dpop import normalized_uri, read_proof, spent_proof
from mintls.core.oauth.dpop_nonce import is_recent, new_nonce
from mintls.core.oauth.errors import InvalidDpopProof, Reason, UnprovenRequest, UseDpopNonce
from mintls.core.oauth.forwarded_certificate import HeaderLines
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


@dataclass(frozen=True, slots=True)
class Requested:
    """The request that a proxy asks about.

    Attributes:
        method: Its method.
        url: What the client asked the proxy for, without query, as ``normalized_uri`` gives it.
    """

    method: str
    url: str


type RequestOf = Callable[[HeaderLines], Requested]
"""Finds out which request it is from the headers that a proxy sends. Raises ``InvalidDpopProof`` if they lack it."""


def proven_at_resource(services: Services, call: Call, requested: RequestOf, access_token: str, client_id: str) -> str:
    """The thumbprint of the key that is proven for the request that a proxy asks about.

    Whether a proof was used before is known to this replica alone: else each request to a resource would cost a write
    to the Kubernetes API. Section 11.1 leaves it open; a proof is for one token, method and URL, and for a minute.

    Raises:
        UnprovenRequest: There is no proof, it does not hold, or was used before.
        TemporarilyUnavailable: There are too many.
    """
    try:
        request = requested(call.header)
        proof = read_proof(
            call.header("DPoP"),
            method=request.method,
            urls={request.url},
            now=call.now,
            access_token=access_token,
        )
    except InvalidDpopProof as error:
        raise UnprovenRequest(error.reason, error.detail) from error
    if not services.replays.first(spent_proof(proof, client_id), call.now):
        raise UnprovenRequest(Reason.REPLAYED_PROOF)
    return proof.jkt


def forwarded_request(header: HeaderLines) -> Requested:
    """The request that a proxy describes in ``X-Forwarded-...``, as Traefik does and nginx can.

    Raises:
        InvalidDpopProof: It does not.
    """
    method, proto, host, uri = (_once(header, f"X-Forwarded-{part}") for part in ("Method", "Proto", "Host", "Uri"))
    return Requested(method, normalized_uri(f"{proto}://{host}{uri}"))


def same_request(method: str, path: str) -> RequestOf:
    """The request that a proxy asks about by one that is like it, as Envoy does; only ``https`` is not to be seen.

    Args:
        method: The method of both.
        path: Path and query of the client's.
    """

    def requested(header: HeaderLines) -> Requested:
        proto, host = _once(header, "X-Forwarded-Proto"), _once(header, "Host")
        return Requested(method, normalized_uri(f"{proto}://{host}{path}"))

    return requested


def _once(header: HeaderLines, name: str) -> str:
    lines = header(name)
    if len(lines) != 1 or not lines[0]:
        raise InvalidDpopProof(Reason.WRONG_PROOF, f"the proxy has to send {name}, once")
    return lines[0]


def next_nonce(services: Services, call: Call) -> Mapping[str, str]:
    """Headers of an answer with the nonce for the next request (section 8.2), where nonces are demanded."""
    if not services.settings.dpop_nonce:
        return NO_STORE
    return {**NO_STORE, DPOP_NONCE: new_nonce(current_key(services, call), call.now)}
