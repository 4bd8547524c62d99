"""What every answer has in common, by whatever protocol it goes out: errors become answers, and the trail is ended."""

import logging
import os
import re
from collections.abc import Awaitable, Callable

from mintls.core.oauth.errors import OAuthError
from mintls.issuer.audit import Trail
from mintls.issuer.errors import answer_error, error_body
from mintls.issuer.exchange import Answer

logger = logging.getLogger(__name__)

REQUEST_ID = "X-Request-ID"
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


async def answer_of(
    steps: Awaitable[Answer], trail: Trail, *, realm: str, authorization: Callable[[], str | None]
) -> Answer:
    """The answer that the steps of an endpoint come to, or that of the error that they end with.

    Args:
        steps: The steps, begun here.
        trail: Told what came of it.
        realm: The issuer's identifier, for the challenge.
        authorization: ``Authorization`` of the request, for the challenge.
    """
    try:
        answer = await steps
    except OAuthError as error:
        trail.decision, trail.reason, trail.detail = "refused", error.reason, error.detail
        return answer_error(error, realm, authorization())
    except Exception as error:
        trail.reason, trail.detail = "defect", type(error).__name__
        logger.exception("request %s to %s: a defect", trail.request_id, trail.endpoint)
        return Answer(500, error_body("server_error", "the issuer failed; the request id finds the reason"))
    trail.decision = "granted" if answer.status < 400 else "refused"
    trail.reason = trail.reason or "ok"
    return answer


def request_id(given: str | None) -> str:
    """The caller's own request id if it is a harmless one, else a new one."""
    return given if given and _REQUEST_ID.fullmatch(given) else os.urandom(8).hex()
