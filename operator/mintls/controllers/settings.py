"""What an operator is told when it starts."""

from dataclasses import dataclass

from mintls.reconcile.installation import Installation


@dataclass(frozen=True, slots=True)
class OperatorSettings:
    """All of it.

    Attributes:
        installation: Names and addresses of the installation.
        identity: Unique per process: ``holderIdentity`` of the Lease.
        authority: The CertificateAuthority that signs the issuer's certificate and the operator's.
        create_authority: Whether to make that authority where there never was one.
        issuer_service: Service whose ready endpoints are the issuer's replicas.
        issuer_port_name: Name of its port that does mTLS.
        issuer_replicas: ``host:port`` of the replicas instead, where there is no Service.
        signing_algorithm: What the next signing key of tokens is for (``alg``).
        workers: Objects that are looked at side by side.
        lease_seconds: Seconds after which another replica takes over from one that died.
        sweep_seconds: Seconds between two full lists, for what a broken watch did not tell.
    """

    installation: Installation
    identity: str
    authority: str = "default"
    create_authority: bool = False
    issuer_service: str = "mintls-issuer"
    issuer_port_name: str = "mtls"
    issuer_replicas: tuple[str, ...] = ()
    signing_algorithm: str = "ES256"
    workers: int = 16
    lease_seconds: float = 15.0
    sweep_seconds: float = 300.0
