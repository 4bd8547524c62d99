"""Whether a service account's token is one, asked of Kubernetes (TokenReview).

::

    ReviewUnavailable   nobody can tell: nothing may be answered that relies on it
"""

import logging
from typing import Protocol

from mintls.core.oauth.token_exchange import ReviewedAccount, expiry_of
from mintls.kube.client import ApiClient
from mintls.kube.errors import ApiError
from mintls.kube.paths import TOKEN_REVIEWS

logger = logging.getLogger(__name__)

_SECONDS = 5.0


class ReviewUnavailable(Exception):  # noqa: N818 - reads as the sentence that it stands for
    """The Kubernetes API cannot be asked, or does not let the issuer."""


class Reviewer(Protocol):
    """What the endpoints need of it."""

    async def review(self, token: str, audience: str) -> ReviewedAccount | None:
        """Whose token it is; ``None`` if it is nobody's, or was issued for another audience.

        Raises:
            ReviewUnavailable: Nobody can tell.
        """


class KubeReviewer:
    """The Kubernetes API."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    async def review(self, token: str, audience: str) -> ReviewedAccount | None:
        """As ``Reviewer.review``."""
        body = {
            "apiVersion": TOKEN_REVIEWS.api_version,
            "kind": TOKEN_REVIEWS.kind,
            "spec": {"token": token, "audiences": [audience]},
        }
        try:
            answer = await self._api.create(TOKEN_REVIEWS.collection(), body, seconds=_SECONDS)
        except ApiError as error:
            logger.error("a service account's token could not be reviewed: %s", error)  # noqa: TRY400 - the message says it all
            raise ReviewUnavailable(str(error)) from None  # the cause holds the request, and that the token
        status = answer.get("status", {})
        # An API server that knows nothing of audiences answers without any.
        if not status.get("authenticated") or audience not in status.get("audiences", ()):
            return None
        return ReviewedAccount(str(status.get("user", {}).get("username", "")), expiry_of(token))
