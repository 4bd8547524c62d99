"""What the queue holds: which object to look at."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What is reconciled."""

    AUTHORITY = "CertificateAuthority"
    CERTIFICATE = "ClientCertificate"
    CLIENT = "OAuthClient"
    TRUST_BUNDLE = "TrustBundle"
    BUNDLE_REPORT = "BundleReport"
    CLUSTER_TRUST_BUNDLE = "ClusterTrustBundle"
    POD_CERTIFICATE_REQUEST = "PodCertificateRequest"
    SIGNING_REQUEST = "CertificateSigningRequest"
    POD_RESTART = "PodRestart"
    REVOCATION_LIST = "RevocationList"
    ISSUED_RECORD = "IssuedRecord"
    SIGNING_KEYS = "SigningKeys"
    CLIENT_SIGNING_KEYS = "ClientSigningKeys"
    SERVER_CERTIFICATE = "ServerCertificate"


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """One object; ``namespace`` is "" for cluster-scoped ones, ``name`` is "" for what there is one of.

    They have an order, which means nothing, for those that are due at the same time.
    """

    kind: Kind
    namespace: str = ""
    name: str = ""

    def __str__(self) -> str:
        """As a log line names it."""
        return f"{self.kind} {'/'.join(part for part in (self.namespace, self.name) if part)}".rstrip()
