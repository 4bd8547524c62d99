"""What is the same for every object of one installation."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Installation:
    """Names and addresses that operator and issuer have to agree on.

    Attributes:
        trust_domain: Trust domain of SPIFFE IDs (SPIFFE-ID section 2.1), such as ``cluster.local``.
        cluster_domain: DNS domain of the cluster, such as ``cluster.local``.
        operator_namespace: Namespace of the operator, of the CA keys and of the signing keys.
        issuer_url: The issuer's identifier (``iss``), an https URL without query or fragment (RFC 8414 section 2).
        mtls_url: Base of the endpoints that do mTLS (``mtls_endpoint_aliases``, RFC 8705 section 5).
        issuer_names: DNS names and IP addresses that the issuer's own certificate carries.
    """

    trust_domain: str
    cluster_domain: str
    operator_namespace: str
    issuer_url: str
    mtls_url: str
    issuer_names: tuple[str, ...]

    @property
    def token_endpoint(self) -> str:
        """The token endpoint that takes client certificates."""
        return f"{self.mtls_url.rstrip('/')}/token"

    @property
    def operator_id(self) -> str:
        """SPIFFE ID by which the operator authenticates to the issuer."""
        return f"spiffe://{self.trust_domain}/ns/{self.operator_namespace}/operator"
