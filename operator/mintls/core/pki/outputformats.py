"""Further forms of a credential, for programs that take no pair of PEM files: as cert-manager names them."""

from collections.abc import Iterable, Mapping
from typing import Literal

from cryptography.hazmat.primitives import serialization

from mintls.core.pki.keys import load_private_key

type OutputFormat = Literal["CombinedPEM", "DER"]

FILES: Mapping[OutputFormat, str] = {"CombinedPEM": "tls-combined.pem", "DER": "key.der"}
"""The file of each form."""


def further_files(formats: Iterable[OutputFormat], tls_crt: bytes, tls_key: bytes) -> dict[str, bytes]:
    """The files of these forms, made of ``tls.crt`` and ``tls.key``.

    ``CombinedPEM`` is the key followed by the certificates, in one file; ``DER`` is the key alone, PKCS #8.

    Raises:
        InvalidKey: ``tls.key`` is no private key.
    """
    return {FILES[one]: _render(one, tls_crt, tls_key) for one in formats}


def _render(form: OutputFormat, tls_crt: bytes, tls_key: bytes) -> bytes:
    if form == "CombinedPEM":
        return tls_key.rstrip(b"\n") + b"\n" + tls_crt
    return load_private_key(tls_key).private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
