"""What certificates of each kind say: RFC 5280 section 4.2, narrowed to what strict verifiers accept.

Every profile passes OpenSSL's ``-x509_strict`` (Python's VERIFY_X509_STRICT), and ``cryptography``'s path validation.
Times are aware UTC; a fraction of a second is cut off, because X.509 has none. Backdating is the caller's business.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mintls.core.pki.names import SubjectName
from mintls.core.pki.origin import Origin

EMPTY_NAME = x509.Name([])
"""An empty subject: the subject alternative name alone, then critical, says who it is (RFC 5280 section 4.1.2.6)."""

type Usage = Literal["client", "server"]
"""The side of a TLS connection that a leaf is for: its only extended key usage."""

_SERIAL_BITS = 159


@dataclass(frozen=True, slots=True)
class RootProfile:
    """A self-signed CA certificate.

    Attributes:
        common_name: Its only subject attribute.
        not_before: First second of validity.
        not_after: Last second of validity.
    """

    common_name: str
    not_before: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True)
class IntermediateProfile:
    """A CA certificate below a root.

    Attributes:
        common_name: Its only subject attribute.
        not_before: First second of validity.
        not_after: Last second of validity.
        permitted_dns: DNS trees that leaves below may name, such as ``svc``: a critical nameConstraints extension
            (RFC 5280 section 4.2.1.10). Empty for no limit. Only DNS, because path validation in ``cryptography``
            refuses every path through a constraint on URIs.
    """

    common_name: str
    not_before: datetime
    not_after: datetime
    permitted_dns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LeafProfile:
    """An end-entity certificate.

    Attributes:
        subject: May be empty (:data:`EMPTY_NAME`) if there is an alternative name.
        san: The alternative names, in this order; any kind but subjectDN.
        usage: ``client`` or ``server``: the only extended key usage.
        not_before: First second of validity.
        not_after: Last second of validity.
        origin: The object that it is issued for, if it is for one.
    """

    subject: x509.Name
    san: tuple[SubjectName, ...]
    usage: Usage
    not_before: datetime
    not_after: datetime
    origin: Origin | None = None


type Profile = RootProfile | IntermediateProfile | LeafProfile
"""Any of the three."""


def serial_number(entropy: bytes) -> int:
    """A serial number of 159 random bits: positive, and 20 octets at most in DER (RFC 5280 section 4.1.2.2).

    Args:
        entropy: 20 random octets.

    Raises:
        ValueError: For another number of octets, or if they come to zero, which is no serial number.
    """
    if len(entropy) != 20:
        raise ValueError(f"a serial number is made of 20 random octets, not of {len(entropy)}")
    serial = int.from_bytes(entropy) >> (len(entropy) * 8 - _SERIAL_BITS)
    if serial == 0:
        raise ValueError("the entropy for a serial number is all zero; pass random octets")
    return serial


def common_name(value: str) -> x509.Name:
    """A subject of one common name.

    Raises:
        ValueError: When it is empty or longer than 64 octets (RFC 5280 appendix A.1, ub-common-name).
    """
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, value)])


def permitted_dns(trees: Iterable[str]) -> x509.NameConstraints:
    """A nameConstraints extension that permits host names in the given trees only."""
    return x509.NameConstraints(permitted_subtrees=[x509.DNSName(tree) for tree in trees], excluded_subtrees=None)


def leaf_template(usage: Usage, *, is_rsa: bool) -> x509.CertificateBuilder:
    """What all leaves of a usage have in common.

    Args:
        usage: The extended key usage.
        is_rsa: Whether the leaf's key is RSA: a server may then be sent a key encrypted to it, as TLS 1.2 still does
            (RFC 5246 section 7.4.7.1).
    """
    return _LEAF_TEMPLATES[usage, is_rsa and usage == "server"]


def _key_usage(*, ca: bool = False, key_encipherment: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _ca_template(path_length: int) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
    )


def _leaf_template(usage: x509.ObjectIdentifier, *, key_encipherment: bool = False) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(key_encipherment=key_encipherment), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    )


# Builders are immutable: made once, because signing is a hot path when thousands of certificates renew.
ROOT_TEMPLATE = _ca_template(path_length=1)
"""A root has room for one CA below it."""
INTERMEDIATE_TEMPLATE = _ca_template(path_length=0)
"""An intermediate signs leaves only."""
_LEAF_TEMPLATES: dict[tuple[Usage, bool], x509.CertificateBuilder] = {
    ("client", False): _leaf_template(ExtendedKeyUsageOID.CLIENT_AUTH),
    ("server", False): _leaf_template(ExtendedKeyUsageOID.SERVER_AUTH),
    ("server", True): _leaf_template(ExtendedKeyUsageOID.SERVER_AUTH, key_encipherment=True),
}
