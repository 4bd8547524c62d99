"""Which private key is made, and what becomes of it: as CertificateAuthority and ClientCertificate say it."""

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


class ClientPrivateKey(PrivateKey, frozen=True, kw_only=True):
    """The key of a certificate that is renewed again and again."""

    rotation_policy: Annotated[
        Literal["Always", "Never"],
        Meta(
            description="What a renewal does with the key. `Always`: each certificate has a new one. `Never`: the key "
            "in the Secret is kept, for those who pin it, as long as it is of this `algorithm` and `size` and is the "
            "one that the certificate was issued for; a lost, damaged or foreign key is replaced in any case."
        ),
    ] = "Always"
    encoding: Annotated[
        Literal["PKCS8", "PKCS1"],
        Meta(
            description="How `tls.key` is written. `PKCS8`: PKCS #8 (`BEGIN PRIVATE KEY`). `PKCS1`: for programs that "
            "read no other, PKCS #1 for RSA (`BEGIN RSA PRIVATE KEY`) and SEC 1 for ECDSA (`BEGIN EC PRIVATE KEY`). "
            "A change writes the Secret again with the same key and certificate."
        ),
    ] = "PKCS8"


_SIZE = Rule(
    "!has(self.size) || (self.algorithm == 'ECDSA' && self.size in [256, 384]) || "
    "(self.algorithm == 'RSA' && self.size in [2048, 3072, 4096])",
    "size must be 256 or 384 for ECDSA, 2048, 3072 or 4096 for RSA, and left out for Ed25519",
    field="size",
)
# RFC 8410 section 7: OneAsymmetricKey, the successor of PKCS #8, is the only format for these keys.
_ENCODING = Rule(
    "!has(self.encoding) || self.encoding != 'PKCS1' || self.algorithm != 'Ed25519'",
    "encoding must be PKCS8 for Ed25519: PKCS1 stands for PKCS #1 of RSA and SEC 1 of ECDSA, "
    "and an Ed25519 key has no such form (RFC 8410 section 7)",
    field="encoding",
)

SIZE_RULES: dict[str, Any] = cel(_SIZE)
CLIENT_KEY_RULES: dict[str, Any] = cel(_SIZE, _ENCODING)
