"""The way to a CA of cert-manager: a CertificateRequest for each certificate, which is deleted when it was answered.

None is left behind. A request that nobody lived to delete is told from those that are under way by this process, which
alone writes: it is deleted at the next look. The key that it was made with is gone, so nobody has a use for it.

One that was not answered in time stays, and none else is made until it is answered: so an approver or an issuer that
is away is seen by one object and one watch, and not by each certificate.
"""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from mintls.api.v1alpha1 import CertificateAuthority
from mintls.api.v1alpha1.external import CERT_MANAGER_GROUP, CertManager
from mintls.controllers.certificatesource import SourceError, SourceUnavailable
from mintls.controllers.externalsource import Question, request_pem
from mintls.controllers.refusals import violation_of
from mintls.controllers.writer import NotLeadingError, Writer
from mintls.kube.client import ApiClient
from mintls.kube.errors import ApiError, Forbidden, NotFound
from mintls.kube.paths import CERTIFICATE_REQUESTS, CLUSTER_ISSUERS, ISSUERS
from mintls.reconcile.certmanager import (
    SELECTOR,
    Issued,
    Pending,
    Refused,
    certificate_request,
    describe_issuer,
    fate_of,
    is_of,
    issuer_problem,
)
from mintls.reconcile.reasons import Reason

logger = logging.getLogger(__name__)

type Object = dict[str, Any]

PATIENCE_SECONDS = 15.0
"""So long one request is waited for: an issuer that has the CA's key answers within a second."""


class CertManagerWay:
    """Asks one issuer of cert-manager."""

    def __init__(
        self, authority: CertificateAuthority, spec: CertManager, api: ApiClient, writer: Writer, own_namespace: str
    ) -> None:
        """Prepare.

        Args:
            authority: Whose certificates these are.
            spec: Who signs, and where the requests are made.
            api: Reads.
            writer: Writes.
            own_namespace: Of the operator.
        """
        self._authority = authority
        self._spec = spec
        self._api = api
        self._writer = writer
        self._namespace = spec.namespace or own_namespace
        self._requests = CERTIFICATE_REQUESTS.collection(self._namespace)
        self._issuer = describe_issuer(spec, self._namespace)
        self._under_way: set[str] = set()
        self._broken_off: set[str] = set()
        self._unanswered = ""

    async def prepare(self) -> str:
        """See whether the issuer is ready and the last request was answered; delete requests that were left behind.

        Raises:
            SourceError: It cannot be asked.
            ApiError: The API server did not say.
        """
        try:
            await self._see_issuer()
            await self._sweep()
        except Forbidden as error:
            raise _failed(error, "cert-manager was not asked") from error
        except NotFound as error:
            raise SourceUnavailable(Reason.EXTERNAL_UNREACHABLE, f"cert-manager is not installed: {error}") from error
        return f"asks {self._issuer} of cert-manager by CertificateRequests in namespace {self._namespace}"

    async def obtain(self, question: Question) -> bytes:
        """Have a request signed.

        Raises:
            SourceError: There is no certificate.
        """
        if question.request.subject != question.subject:
            raise SourceError(
                Reason.EXTERNAL_REFUSED,
                "cert-manager gives a certificate the subject of its request: make spec.request anew with the subject "
                f"{question.subject.rfc4514_string()}",
            )
        name = f"mintls-{secrets.token_hex(10)}"
        body = certificate_request(
            name=name,
            authority=self._authority,
            spec=self._spec,
            request=request_pem(question.request),
            seconds=int(question.duration.total_seconds()),
        )
        self._under_way.add(name)
        try:
            return await self._ask(name, body)
        except ApiError as error:
            raise _failed(error, "cert-manager was not asked") from error
        finally:
            self._under_way.discard(name)

    async def close(self) -> None:
        """Delete what was not answered: nobody waits for it any more."""
        with contextlib.suppress(NotLeadingError):
            for name in (*self._broken_off, *filter(None, (self._unanswered,))):
                await self._drop(name)

    async def _see_issuer(self) -> None:
        ref = self._spec.issuer_ref
        if ref.group != CERT_MANAGER_GROUP:
            return  # an add-on's: its plural is not known, nor is what its status says
        path = (
            CLUSTER_ISSUERS.item(None, ref.name)
            if ref.kind == CLUSTER_ISSUERS.kind
            else ISSUERS.item(self._namespace, ref.name)
        )
        issuer: Object | None = None
        try:
            issuer = await self._api.get(path)
        except NotFound as error:
            if error.resource_missing:
                raise
        problem = issuer_problem(self._spec, self._namespace, issuer)
        if problem is not None:
            kind = SourceUnavailable if issuer is not None else SourceError
            raise kind(problem.reason, problem.message)

    async def _sweep(self) -> None:
        unanswered, waits = self._unanswered, ""
        async for page in self._api.list_pages(self._requests, label_selector=SELECTOR):
            for item in page["items"]:
                name = item["metadata"]["name"]
                if name in self._under_way or not is_of(item, self._authority):
                    continue
                fate = fate_of(item)
                if name == unanswered and isinstance(fate, Pending):
                    waits = fate.why
                    continue
                with contextlib.suppress(NotFound):
                    await self._writer.delete(CERTIFICATE_REQUESTS.item(self._namespace, name))
        if waits:
            raise self._not_answered(unanswered, waits)
        if self._unanswered == unanswered:
            self._unanswered = ""

    async def _ask(self, name: str, body: Object) -> bytes:
        made = await self._create(name, body)
        try:
            pem = await self._answer(name, made)
        except asyncio.CancelledError:
            self._broken_off.add(name)  # whoever ends is not kept waiting here
            raise
        except Exception:
            if name != self._unanswered:
                await self._drop(name)
            raise
        await self._drop(name)
        return pem

    async def _create(self, name: str, body: Object) -> Object:
        try:
            return await self._writer.create(self._requests, body)
        except ApiError as error:
            if error.retriable:  # it may have been carried out, and nobody heard so
                await self._drop(name)
            raise

    async def _answer(self, name: str, made: Object) -> bytes:
        waits = ""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), aclosing(self._states(name, made)) as states:
                async for state in states:
                    match fate_of(state):
                        case Issued(pem):
                            return pem
                        case Refused(violation):
                            raise SourceError(violation.reason, f"{self._issuer}: {violation.message}")
                        case Pending(why):
                            waits = why
        except TimeoutError as error:
            self._unanswered = self._unanswered or name
            raise self._not_answered(name, waits) from error
        raise AssertionError("the states of a request have no end of their own")

    async def _states(self, name: str, made: Object) -> AsyncGenerator[Object]:
        """A request as it was made, and then each time that it changes."""
        yield made
        version = made["metadata"]["resourceVersion"]
        while True:
            async with aclosing(
                self._api.watch(self._requests, resource_version=version, field_selector=f"metadata.name={name}")
            ) as changes:
                async for type_, item in changes:
                    version = item["metadata"]["resourceVersion"]
                    if type_ == "DELETED":
                        message = f"somebody deleted CertificateRequest {self._namespace}/{name} before it was answered"
                        raise SourceUnavailable(Reason.EXTERNAL_UNREACHABLE, message)
                    if type_ != "BOOKMARK":
                        yield item

    async def _drop(self, name: str) -> None:
        """Delete a request; what cannot be deleted now is at the next look."""
        try:
            await self._writer.delete(CERTIFICATE_REQUESTS.item(self._namespace, name))
        except NotFound:
            pass
        except ApiError as error:
            logger.warning("a CertificateRequest is left behind for now: %s", error)

    def _not_answered(self, name: str, waits: str) -> SourceUnavailable:
        return SourceUnavailable(
            Reason.EXTERNAL_UNREACHABLE,
            f"{self._issuer} of cert-manager does not answer CertificateRequest {self._namespace}/{name}: {waits}. See "
            "whether its approver and its controller run",
        )


def _failed(error: ApiError, what: str) -> SourceError:
    violation = violation_of(error, what)
    return SourceError(violation.reason, violation.message)
