"""Kubeconfig files that need no other file."""

import base64
from pathlib import Path

from clusterlib import pki

_TEMPLATE = """\
apiVersion: v1
kind: Config
current-context: {context}
clusters:
- name: {context}
  cluster:
    server: {server}
    certificate-authority-data: {ca}
users:
- name: {user}
  user:
    client-certificate-data: {certificate}
    client-key-data: {key}
contexts:
- name: {context}
  context:
    cluster: {context}
    user: {user}
"""


def render(*, context: str, server: str, user: str, pki_folder: Path) -> str:
    """A kubeconfig for *server*, with the certificate *user* (a name in ``pki``) and its key inside.

    Raises OSError when the keys are not there.
    """
    return _TEMPLATE.format(
        context=context,
        server=server,
        user=user,
        ca=_encoded(pki.certificate_path(pki_folder, "ca")),
        certificate=_encoded(pki.certificate_path(pki_folder, user)),
        key=_encoded(pki.key_path(pki_folder, user)),
    )


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
