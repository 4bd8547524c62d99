"""The certificates that a client of ``self_signed_tls_client_auth`` registers (RFC 8705 section 2.2).

Such a certificate is compared whole, and nobody vouches for it. It is let through the handshake because it is among the
anchors there, so it must be one that can vouch for nothing else: an end-entity certificate, signed by its own key.
"""

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from mintls.core.pki.certificate import CertificateFacts, InvalidCertificate, facts, load_pem_chain, read_certificate

SELF_SIGNED = "self_signed_tls_client_auth"
"""RFC 8705 section 2.2.1."""

# RFC 7518 sections 6.2.1 and 6.3.1, RFC 8037 section 2.
_OF_THE_KEY = frozenset({"kty", "crv", "x", "y", "n", "e"})
# OpenSSL's security level 2, which Debian and Python have: 112 bits.
_SHORTEST_RSA = 2048
_SHORTEST_EC = 224


class CertificateNotUsable(ValueError):  # noqa: N818 - reads as the sentence that it stands for
    """A certificate cannot be registered; the message names the field, what is wrong and what would be right."""


@dataclass(frozen=True, slots=True)
class Jwk:
    """A JSON Web Key as far as it is needed (RFC 7517 section 4).

    Attributes:
        members: All of it, as on the wire; of interest is the public key.
        x5c: ``x5c``: base64 (not base64url) of DER, the certificate of the key first.
    """

    members: Mapping[str, Any]
    x5c: tuple[str, ...]


def certificates_of_pem(pems: Iterable[str], path: str) -> tuple[CertificateFacts, ...]:
    """The certificates of a list in PEM, each once, in their order.

    Args:
        pems: One certificate each.
        path: The field, for messages.

    Raises:
        CertificateNotUsable: One cannot be read, or can never authenticate anybody.
    """
    return _each_once(_usable(_from_pem(pem, f"{path}[{at}]"), f"{path}[{at}]") for at, pem in enumerate(pems))


def certificates_of_jwks(keys: Iterable[Jwk], path: str) -> tuple[CertificateFacts, ...]:
    """The certificates of a JWK Set: the first ``x5c`` of each key (RFC 8705 section 2.2.2), each once.

    Raises:
        CertificateNotUsable: One cannot be read, can never authenticate anybody, or is not of the key that it stands
            beside (RFC 7517 section 4.7).
    """
    return _each_once(_usable(_from_jwk(key, f"{path}[{at}]"), f"{path}[{at}].x5c[0]") for at, key in enumerate(keys))


def may_be_registered(certificate: x509.Certificate) -> bool:
    """Whether a client could have registered it: a certificate that vouches for itself and for nothing else."""
    try:
        if certificate.issuer != certificate.subject:  # nearly all others: they cost no signature
            return False
        _usable(facts(certificate), "it")
    except (InvalidCertificate, CertificateNotUsable, ValueError):  # the last: a name that cannot be decoded
        return False
    return True


def jwks_of(certificates: Iterable[x509.Certificate]) -> dict[str, Any]:
    """``jwks`` of a registration: a key with ``x5c`` for each certificate (RFC 8705 section 2.2.2)."""
    return {"keys": [_jwk(certificate) for certificate in certificates]}


def _each_once(certificates: Iterable[CertificateFacts]) -> tuple[CertificateFacts, ...]:
    return tuple({found.thumbprint: found for found in certificates}.values())


def _from_pem(pem: str, path: str) -> CertificateFacts:
    try:
        chain = load_pem_chain(pem.encode())
        if len(chain) != 1:
            raise CertificateNotUsable(f"{path} holds {len(chain)} certificates: give each an item of its own")
        return facts(chain[0])
    except InvalidCertificate as error:
        raise CertificateNotUsable(f"{path} cannot be read: {error}") from error


def _from_jwk(key: Jwk, path: str) -> CertificateFacts:
    if not key.x5c:
        raise CertificateNotUsable(f"{path} has no x5c: the certificate is what is compared (RFC 8705 section 2.2.2)")
    try:
        found = read_certificate(base64.b64decode(key.x5c[0], validate=True))
    except ValueError as error:  # of base64, or InvalidCertificate
        raise CertificateNotUsable(f"{path}.x5c[0] is not base64 of a certificate in DER: {error}") from error
    if _public_key(key, path) != found.public_key:
        raise CertificateNotUsable(
            f"{path}.x5c[0] is a certificate of another key than the one that stands beside it (RFC 7517 section 4.7)"
        )
    return found


def _public_key(key: Jwk, path: str) -> Any:
    try:
        return jwt.PyJWK.from_dict({name: key.members[name] for name in _OF_THE_KEY & key.members.keys()}).key
    except (jwt.PyJWTError, ValueError, KeyError, TypeError) as error:
        raise CertificateNotUsable(f"{path} is not a public key in JWK (RFC 7517 section 4): {error}") from error


def _usable(found: CertificateFacts, path: str) -> CertificateFacts:
    """Refuse what the handshake refuses, and what could vouch for others there."""
    checks = (_not_self_signed, _no_subject, _not_an_end_entity, _wrong_usage, _weak_key)
    problem = next((problem for check in checks if (problem := check(found))), None)
    if problem:
        raise CertificateNotUsable(f"{path} {problem}")
    return found


def _not_self_signed(found: CertificateFacts) -> str | None:
    try:
        found.certificate.verify_directly_issued_by(found.certificate)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return (
            "is not signed by its own key: a certificate of a CA is for tls_client_auth, "
            "with the CA among spec.authorities"
        )
    return None


def _no_subject(found: CertificateFacts) -> str | None:
    return None if found.subject else "has no subject that can be read: name one, such as CN=billing"


def _not_an_end_entity(found: CertificateFacts) -> str | None:
    """A CA among the handshake's anchors would let through whatever it signs. X.509 v1 cannot say that it is none."""
    for extension in found.certificate.extensions:
        if isinstance(extension.value, x509.BasicConstraints) and not extension.value.ca:
            return None
    return (
        "does not say that it is no CA's: make it with basicConstraints CA:FALSE "
        "(openssl req -x509 -addext basicConstraints=critical,CA:FALSE)"
    )


def _wrong_usage(found: CertificateFacts) -> str | None:
    for extension in found.certificate.extensions:
        match extension.value:
            case x509.ExtendedKeyUsage() as usage if ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
                return "has an extended key usage without clientAuth: add it, or leave that extension out"
            case x509.KeyUsage() as usage if not usage.digital_signature or usage.key_cert_sign:
                return "has a key usage other than a client's: it has to have digitalSignature and not keyCertSign"
    return None


def _weak_key(found: CertificateFacts) -> str | None:
    match found.public_key:
        case rsa.RSAPublicKey(key_size=size) if size >= _SHORTEST_RSA:
            return None
        case ec.EllipticCurvePublicKey(key_size=size) if size >= _SHORTEST_EC:
            return None
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            return None
    return f"has a key that is too weak or of an unknown kind: use ECDSA, Ed25519, or RSA from {_SHORTEST_RSA} bits on"


def _jwk(certificate: x509.Certificate) -> dict[str, Any]:
    x5c = [base64.b64encode(certificate.public_bytes(Encoding.DER)).decode("ascii")]
    return {**_public_members(certificate.public_key()), "x5c": x5c}


def _public_members(key: Any) -> dict[str, Any]:
    match key:
        case rsa.RSAPublicKey():
            return jwt.algorithms.RSAAlgorithm.to_jwk(key, as_dict=True)
        case ec.EllipticCurvePublicKey():
            return jwt.algorithms.ECAlgorithm.to_jwk(key, as_dict=True)
        case _:
            return jwt.algorithms.OKPAlgorithm.to_jwk(key, as_dict=True)
