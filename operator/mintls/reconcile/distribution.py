"""Where an authority's part of the trust bundles goes: ``spec.trustBundle``, read."""

from dataclasses import dataclass

from cryptography import x509

from mintls.api.v1alpha1.certificateauthority import CertificateAuthority
from mintls.api.v1alpha1.selector import LabelSelector
from mintls.core.pki.certificate import InvalidCertificate, is_authority, load_pem_chain


@dataclass(frozen=True, slots=True)
class Distribution:
    """Where an authority's part of the bundle goes, and what belongs to it beside its roots.

    Attributes:
        selector: Selects namespaces; ``None`` selects none beside those that need a bundle anyway.
        additional: Further certificates.
        keystores: Further forms: ``JKS``, ``PKCS12``.
    """

    selector: LabelSelector | None = None
    additional: tuple[x509.Certificate, ...] = ()
    keystores: frozenset[str] = frozenset()


def distribution_of(authority: CertificateAuthority) -> Distribution:
    """What ``spec.trustBundle`` asks for.

    Raises:
        InvalidCertificate: A certificate of it cannot be read or is no CA's; the message names the field.
    """
    spec = authority.spec.trust_bundle
    additional = (
        _additional(pem, f"spec.trustBundle.additionalCertificates[{at}]")
        for at, pem in enumerate(spec.additional_certificates)
    )
    return Distribution(spec.namespace_selector, tuple(additional), frozenset(spec.keystores))


def _additional(pem: str, path: str) -> x509.Certificate:
    try:
        (certificate,) = load_pem_chain(pem.encode())
    except (InvalidCertificate, ValueError) as error:
        raise InvalidCertificate(f"{path}: {error}") from error
    if not is_authority(certificate):
        raise InvalidCertificate(
            f"{path}: {certificate.subject.rfc4514_string()!r} is not a CA's certificate (basicConstraints CA:TRUE): "
            "a bundle says which CAs to trust; take it out"
        )
    return certificate
