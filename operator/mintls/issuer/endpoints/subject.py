"""On whose behalf a token is wanted (RFC 8693): the step of ``POST /token`` that only an exchange has."""

from mintls.core.oauth.client import Client
from mintls.core.oauth.errors import InvalidRequest, Reason, TemporarilyUnavailable
from mintls.core.oauth.revocation import revocation_of
from mintls.core.oauth.token_exchange import (
    ACCESS_TOKEN,
    ExchangeRequest,
    ReviewedAccount,
    Subject,
    subject_of_account,
    subject_of_token,
)
from mintls.issuer.exchange import Call
from mintls.issuer.reviews import ReviewUnavailable
from mintls.issuer.services import Services


async def find_subject(services: Services, call: Call, caller: Client, request: ExchangeRequest) -> Subject:
    """The subject of the token that is given in exchange.

    Raises:
        InvalidRequest: The token does not count, or gives the caller nothing.
        TemporarilyUnavailable: Kubernetes cannot be asked.
    """
    subject = await _subject(services, call, caller, request)
    call.trail.subject = subject.sub
    return subject


async def _subject(services: Services, call: Call, caller: Client, request: ExchangeRequest) -> Subject:
    if request.type != ACCESS_TOKEN:
        return subject_of_account(await _reviewed(services, request), caller)
    claims = services.tokens.read(request.token, call.now)
    return subject_of_token(
        claims,
        caller=caller,
        owner=services.directory.client(claims.client_id) if claims else None,
        revoked=claims is not None and services.directory.is_spent(revocation_of(claims).name),
        issuer=services.settings.issuer_url,
        now=call.now,
    )


async def _reviewed(services: Services, request: ExchangeRequest) -> ReviewedAccount | None:
    if not services.settings.service_account_tokens:
        raise InvalidRequest(Reason.MALFORMED_EXCHANGE, "service accounts' tokens are not taken here")
    try:
        return await services.reviewer.review(request.token, services.settings.issuer_url)
    except ReviewUnavailable as error:
        raise TemporarilyUnavailable(Reason.NO_REVIEW, str(error)) from error
