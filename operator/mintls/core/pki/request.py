"""A certification request (PKCS #10, RFC 2986): whose key it is, and which names it asks for."""

from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from mintls.core.pki.errors import InvalidKey, RequestBroken
from mintls.core.pki.keys import PublicKey, describe
from mintls.core.pki.names import SubjectKind, SubjectName

_KINDS: dict[type[x509.GeneralName], SubjectKind] = {
    x509.DNSName: SubjectKind.SAN_DNS,
    x509.UniformResourceIdentifier: SubjectKind.SAN_URI,
    x509.RFC822Name: SubjectKind.SAN_EMAIL,
    x509.IPAddress: SubjectKind.SAN_IP,
}


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """What a request says.

    Attributes:
        key: The public key; whoever made the request has proven the private one.
        names: The subject alternative names that it asks for. Its subject and further extensions are of no meaning.
    """

    key: PublicKey = field(repr=False)
    names: tuple[SubjectName, ...]


_UNREADABLE = (
    *(ValueError, UnsupportedAlgorithm),
    *(x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType),
)


def read_request(pem: str) -> CertificateRequest:
    """Read a request and make sure that it was signed by the key that it is for (RFC 2986 section 4.2).

    Args:
        pem: ``CERTIFICATE REQUEST`` in PEM (RFC 7468 section 7).

    Raises:
        RequestBroken: It cannot be read, its signature is not its key's, its key is of a kind that is not supported, or
            it asks for a name of a kind that no certificate is given.
    """
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        proven = request.is_signature_valid
        alternatives = _alternatives(request)
        key = request.public_key()
    except _UNREADABLE as error:
        raise RequestBroken(f"is no certificate request in PEM (BEGIN CERTIFICATE REQUEST): {error}") from error
    if not proven:
        raise RequestBroken("is not signed by the key that it is for: make it anew with that key")
    try:
        describe(key)
    except InvalidKey as error:
        raise RequestBroken(f"is for a key that cannot be used: {error}") from error
    return CertificateRequest(key, tuple(_name(one) for one in alternatives))  # type: ignore[arg-type] # describe() knows it


def _alternatives(request: x509.CertificateSigningRequest) -> list[x509.GeneralName]:
    try:
        return list(request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    except x509.ExtensionNotFound:
        return []


def _name(name: x509.GeneralName) -> SubjectName:
    kind = _KINDS.get(type(name))
    if kind is None:
        raise RequestBroken(
            f"asks for a {type(name).__name__}: only DNS names, URIs, e-mail and IP addresses can be asked for"
        )
    return SubjectName(kind, str(name.value))
