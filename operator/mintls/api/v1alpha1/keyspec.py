"""Which private key is made, as ClientCertificate and CertificateAuthority both say it."""

from typing import Annotated, Any, Literal

from msgspec import Meta

from mintls.api.v1alpha1.meta import KubeStruct
from mintls.api.v1alpha1.rules import Rule, cel


class PrivateKey(KubeStruct, frozen=True, kw_only=True):
    """A key algorithm and its size."""

    algorithm: Annotated[Literal["ECDSA", "RSA", "Ed25519"], Meta(description="ECDSA, RSA or Ed25519.")] = "ECDSA"
    size: (
        Annotated[
            int,
            Meta(
                description="Bits: 256 (default) or 384 for ECDSA; 2048 (default), 3072 or 4096 for RSA; "
                "left out for Ed25519."
            ),
        ]
        | None
    ) = None


SIZE_RULES: dict[str, Any] = cel(
    Rule(
        "!has(self.size) || (self.algorithm == 'ECDSA' && self.size in [256, 384]) || "
        "(self.algorithm == 'RSA' && self.size in [2048, 3072, 4096])",
        "size must be 256 or 384 for ECDSA, 2048, 3072 or 4096 for RSA, and left out for Ed25519",
        field="size",
    )
)
