"""Which rights an installation needs, and whether they are there, by the API server's own word.

Source: Kubernetes documentation, "Authorization", SelfSubjectAccessReview and SubjectAccessReview.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mintls.api.v1alpha1.meta import GROUP
from mintls.cli.people.credential import Finding
from mintls.kube.client import ApiClient
from mintls.kube.errors import Forbidden

_REVIEWS = "/apis/authorization.k8s.io/v1"
_RBAC = "rbac.authorization.k8s.io"
_CERTIFICATES = "certificates.k8s.io"


@dataclass(frozen=True, slots=True)
class Right:
    """To do something with a kind of resource; ``here`` for in the installation's namespace alone."""

    verb: str
    group: str
    resource: str
    here: bool = False

    def __str__(self) -> str:
        """As a person says it."""
        return f"{self.verb} {self.resource}.{self.group}" if self.group else f"{self.verb} {self.resource}"


def _rights(verbs: str, group: str, resources: str, *, here: bool = False) -> tuple[Right, ...]:
    return tuple(Right(verb, group, resource, here) for resource in resources.split() for verb in verbs.split())


INSTALLING = (
    *_rights("create", "apiextensions.k8s.io", "customresourcedefinitions"),
    *_rights("create", _RBAC, "clusterroles clusterrolebindings"),
    *_rights("create", _RBAC, "roles rolebindings", here=True),
    *_rights("create", "apps", "deployments", here=True),
    *_rights("create", "", "serviceaccounts services secrets", here=True),
)
"""What who installs has to have."""

OPERATING = (
    *_rights("list watch", GROUP, "oauthclients clientcertificates certificateauthorities"),
    *_rights("patch", GROUP, "oauthclients/status clientcertificates/status certificateauthorities/status"),
    *_rights("create", GROUP, "certificateauthorities"),
    *_rights("get list watch create patch", "", "secrets"),
    *_rights("list watch", "", "namespaces"),
    *_rights("list watch create patch delete", "", "configmaps"),
    *_rights("list watch", _CERTIFICATES, "podcertificaterequests certificatesigningrequests clustertrustbundles"),
    *_rights("patch", _CERTIFICATES, "podcertificaterequests/status certificatesigningrequests/status"),
    *_rights("patch", _CERTIFICATES, "certificatesigningrequests/approval"),
    *_rights("create patch", _CERTIFICATES, "clustertrustbundles"),
    *_rights("create", "events.k8s.io", "events"),
    *_rights("get create update", "coordination.k8s.io", "leases", here=True),
    *_rights("update delete", "", "secrets", here=True),
    *_rights("list watch", "discovery.k8s.io", "endpointslices", here=True),
)
"""What the operator's service account has to have."""


async def of_who_installs(api: ApiClient, namespace: str) -> Finding:
    """Whether who asks may install."""
    missing = await _missing(api, INSTALLING, namespace, "selfsubjectaccessreviews", {})
    if not missing:
        return Finding("rights", well=True, text="you may install")
    return Finding("rights", well=False, text=f"you may not {_listed(missing)}: have an administrator install")


async def of_the_operator(api: ApiClient, namespace: str) -> Finding:
    """Whether the operator may do all that it does."""
    account = f"system:serviceaccount:{namespace}:mintls-operator"
    groups = ["system:authenticated", "system:serviceaccounts", f"system:serviceaccounts:{namespace}"]
    try:
        missing = await _missing(api, OPERATING, namespace, "subjectaccessreviews", {"user": account, "groups": groups})
    except Forbidden:
        return Finding("rights", well=True, text="of the operator: not looked at, you may not ask for others' rights")
    if not missing:
        return Finding("rights", well=True, text="the operator has those that it needs")
    mend = "run `helm upgrade`, or compare docs/install.md"
    return Finding("rights", well=False, text=f"{account} may not {_listed(missing)}: {mend}")


async def _missing(
    api: ApiClient, rights: Iterable[Right], namespace: str, kind: str, whose: dict[str, Any]
) -> list[Right]:
    async def is_there(right: Right) -> bool:
        resource, _, subresource = right.resource.partition("/")
        attributes = {"group": right.group, "resource": resource, "subresource": subresource, "verb": right.verb}
        where = {"namespace": namespace} if right.here else {}
        body = {"apiVersion": "authorization.k8s.io/v1", "spec": {"resourceAttributes": attributes | where, **whose}}
        kinds = {"selfsubjectaccessreviews": "SelfSubjectAccessReview", "subjectaccessreviews": "SubjectAccessReview"}
        answer = await api.create(f"{_REVIEWS}/{kind}", {"kind": kinds[kind], **body})
        return bool(answer["status"]["allowed"])

    asked = list(rights)
    answers = await asyncio.gather(*map(is_there, asked))
    return [right for right, allowed in zip(asked, answers, strict=True) if not allowed]


def _listed(rights: list[Right]) -> str:
    return ", ".join(map(str, rights))
