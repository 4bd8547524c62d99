"""Valid objects of the API and observations of them, each with one thing that can be made different.

Objects are built as the API server would send them (camelCase, then converted), so that a test speaks the language of
the YAML that a person writes. :data:`NOW` is the moment at which everything here is observed.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import msgspec

from builders import pki
from builders.pki import NOW
from mintls.api.v1alpha1 import CertificateAuthority, ClientCertificate, OAuthClient
from mintls.core.oauth.registration import Registration
from mintls.core.pki.certificate import encode_pem, key_fingerprint
from mintls.core.pki.keys import encode_private_key
from mintls.reconcile.certificate.values import Observed
from mintls.reconcile.certificateauthority import KeySecret, secret_labels
from mintls.reconcile.credential import AuthorityView, Contents, SecretView
from mintls.reconcile.installation import Installation
from mintls.reconcile.registration import registration_of

CREATED = "2026-01-01T12:00:00Z"

INSTALLATION = Installation(
    trust_domain="cluster.local",
    cluster_domain="cluster.local",
    operator_namespace="mintls-system",
    issuer_url="https://mintls-issuer.mintls-system.svc:8443",
    mtls_url="https://mintls-issuer.mintls-system.svc:9443",
    issuer_names=("mintls-issuer.mintls-system.svc", "127.0.0.1"),
)


@cache
def default_authority() -> pki.Authority:
    """The one CA that most tests need; made once."""
    return pki.authority("default")


def body(
    name: str = "billing",
    namespace: str = "shop",
    *,
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    **metadata: Any,
) -> dict[str, Any]:
    """An object in JSON; ``namespace`` is "" for cluster-scoped ones."""
    meta = {"name": name, "uid": f"uid-{namespace}-{name}", "generation": 1, "resourceVersion": "1"}
    scope = {"namespace": namespace} if namespace else {}
    return {
        "metadata": {**meta, **scope, "creationTimestamp": CREATED, **metadata},
        "spec": spec or {},
        "status": status or {},
    }


def client(
    name: str = "billing",
    namespace: str = "shop",
    *,
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    **metadata: Any,
) -> OAuthClient:
    """An OAuthClient; its spec is empty, which is a secure client."""
    return msgspec.convert(body(name, namespace, spec=spec, status=status, **metadata), OAuthClient)


def certificate_body(
    name: str = "billing",
    namespace: str = "shop",
    *,
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    **metadata: Any,
) -> dict[str, Any]:
    """A ClientCertificate in JSON, for the client of its own name."""
    least = {"clientRef": {"name": name}, "secretName": f"{name}-mtls"}
    return body(name, namespace, spec={**least, **(spec or {})}, status=status, **metadata)


def certificate(
    name: str = "billing",
    namespace: str = "shop",
    *,
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    **metadata: Any,
) -> ClientCertificate:
    """A ClientCertificate for the client of its own name; spec and status in camelCase."""
    return msgspec.convert(certificate_body(name, namespace, spec=spec, status=status, **metadata), ClientCertificate)


def ca_object(
    name: str = "default",
    *,
    spec: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    **metadata: Any,
) -> CertificateAuthority:
    """A CertificateAuthority; its spec is empty, which is a self-signed CA."""
    return msgspec.convert(body(name, "", spec=spec, status=status, **metadata), CertificateAuthority)


def with_status[T: (OAuthClient, ClientCertificate, CertificateAuthority)](item: T, status: Any) -> T:
    """The object as it is after its status was written."""
    return msgspec.structs.replace(item, status=status)


def registration(name: str = "billing", namespace: str = "shop", **spec: Any) -> Registration:
    """The registration of a client with this spec."""
    return registration_of(client(name, namespace, spec=spec), INSTALLATION.trust_domain)


def authority_view(of: pki.Authority | None = None, **changes: Any) -> AuthorityView:
    """An authority that can sign."""
    made = of or default_authority()
    view = AuthorityView(
        name="default",
        fingerprint=key_fingerprint(made.root),
        root=made.root,
        bundle=made.bundle,
        signs_until=made.signer.not_after,
    )
    return replace(view, **changes)


def secret_view(
    *,
    owner: str = "uid-shop-billing",
    uid: str = "secret-uid",
    version: str = "10",
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
) -> SecretView:
    """A Secret's metadata, controlled by the certificate of :func:`certificate`."""
    ours = {"app.kubernetes.io/managed-by": "mintls", "mintls.dev/component": "client-certificate"}
    return SecretView(uid, version, owner, ours if labels is None else labels, annotations or {})


def observed(item: ClientCertificate | None = None, **changes: Any) -> Observed:
    """A new ClientCertificate of which nothing is in the way, and which has no Secret yet."""
    seen = Observed(
        certificate=item or certificate(),
        registration=registration(),
        client_problem="",
        contest=None,
        authority=authority_view(),
        rival="",
        secret=None,
        whole_version="",
        contents=None,
        installation=INSTALLATION,
        now=NOW,
    )
    return replace(seen, **changes)


def key_secret(which: str, data: dict[str, bytes], *, authority: str = "default", **changes: Any) -> KeySecret:
    """A Secret with a key pair of an authority; ``which`` is root or intermediate."""
    view = secret_view(owner="", labels=secret_labels(authority))
    return KeySecret(f"mintls-authority-{authority}-{which}", replace(view, **changes), Contents(data))


def root_secret(of: pki.Authority | None = None, **changes: Any) -> KeySecret:
    """The Secret with an authority's root."""
    made = of or default_authority()
    data = {"tls.crt": encode_pem(made.root), "tls.key": encode_private_key(made.root_key)}
    return key_secret("root", data, **changes)


def intermediate_secret(of: pki.Authority | None = None, **changes: Any) -> KeySecret:
    """The Secret with an authority's intermediate."""
    made = of or default_authority()
    data = {"tls.crt": encode_pem(made.intermediate), "tls.key": encode_private_key(made.signer.key)}
    return key_secret("intermediate", data, **changes)


def after(seconds: float = 0, *, minutes: float = 0, hours: float = 0, days: float = 0) -> datetime:
    """A time so much later than :data:`NOW`."""
    return NOW + timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
