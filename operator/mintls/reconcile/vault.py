"""Vault: by which roots its server is trusted, and the Secret with its token."""

from collections.abc import Sequence

from cryptography import x509

from mintls.api.v1alpha1.vault import Vault
from mintls.core.pki.certificate import InvalidCertificate, load_pem_chain
from mintls.reconcile.credential import Contents, Violation
from mintls.reconcile.reasons import Reason


def server_roots(spec: Vault, roots: Sequence[x509.Certificate]) -> tuple[x509.Certificate, ...] | Violation:
    """The roots that the server's certificate may lead to: its own, or those that its CA signs under."""
    if not spec.ca_bundle:
        return tuple(roots)
    try:
        return load_pem_chain(spec.ca_bundle.encode())
    except InvalidCertificate as error:
        return Violation(Reason.INVALID_SPEC, f"spec.external.vault.caBundle: {error}")


def token_of(secret: str, contents: Contents | None) -> str | Violation:
    """The token in a Secret, or what is wrong with that; ``secret`` is its namespace and name."""
    if contents is None:
        return Violation(
            Reason.SECRET_MISSING,
            f"there is no Secret {secret}: create it with the file token, or correct "
            "spec.external.vault.auth.tokenSecretRef.name",
        )
    # As a file is mostly written: a line end at its end is none of it.
    token = contents.data.get("token", b"").strip()
    if not token or not token.isascii() or not token.decode().isprintable():
        return Violation(Reason.KEY_BROKEN, f"Secret {secret} has no token: put a token of Vault into its file token")
    return token.decode()
