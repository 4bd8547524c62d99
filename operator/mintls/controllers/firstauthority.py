"""The CertificateAuthority of a new installation, for which nothing else has to be applied.

It is no part of a Helm release: Helm cannot apply an object of a kind that the same chart brings, and whatever
deletes the release must not delete the root of all trust.
"""

import logging

from mintls.api.v1alpha1 import CertificateAuthority
from mintls.controllers.objects import ObjectStore
from mintls.controllers.writer import Writer
from mintls.kube.client import ApiClient
from mintls.kube.errors import AlreadyExists, NotFound
from mintls.kube.paths import CERTIFICATE_AUTHORITIES, SECRETS

logger = logging.getLogger(__name__)


async def create_first_authority(
    api: ApiClient, writer: Writer, authorities: ObjectStore[CertificateAuthority], name: str, *, namespace: str
) -> None:
    """Create an authority with every default, where there never was one of that name.

    An authority that somebody deleted has left its root's Secret. It ended a trust, so it is not made again.

    Args:
        api: Reads the Secret.
        writer: Creates the authority.
        authorities: Those that there are.
        name: Its name.
        namespace: The operator's.

    Raises:
        ApiError: The API server refused, or did not answer.
        NotLeadingError: Another replica may do it.
    """
    if authorities.get(("", name)) is not None:
        return
    root = f"mintls-authority-{name}-root"
    if await _exists(api, namespace, root):
        logger.warning(
            "CertificateAuthority %s is gone, and Secret %s/%s with its root is still there: it is not made again. "
            "Apply it if it is wanted back, or delete the Secret for a new root",
            name,
            namespace,
            root,
        )
        return
    body = {
        "apiVersion": CERTIFICATE_AUTHORITIES.api_version,
        "kind": "CertificateAuthority",
        "metadata": {"name": name, "labels": {"app.kubernetes.io/managed-by": "mintls"}},
    }
    try:
        authorities.saw(await writer.create(CERTIFICATE_AUTHORITIES.collection(), body))
    except AlreadyExists:
        return  # somebody was faster; the watch brings it
    logger.info("created CertificateAuthority %s: there was none", name)


async def _exists(api: ApiClient, namespace: str, secret: str) -> bool:
    try:
        await api.get(SECRETS.item(namespace, secret))
    except NotFound:
        return False
    return True
