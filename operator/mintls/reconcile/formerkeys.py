"""Intermediates that were replaced: their keys sign nothing but CRLs, until their certificates end.

They stand in the Secret of the intermediate that took their place, a pair of files each.
``docs/decisions/0010`` says why
they are kept, and no other CA signs their lists.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from mintls.core.pki.certificate import encode_pem, is_authority
from mintls.core.pki.credential import check_credential
from mintls.core.pki.crl import key_identifier
from mintls.core.pki.errors import CredentialBroken
from mintls.reconcile.credential import Contents

MOST = 4
"""So many are kept. One is replaced at half of its life, so two are there at once; more after roots in a row."""

_PREFIX = "former-"


@dataclass(frozen=True, slots=True)
class FormerKey:
    """An intermediate that was replaced; ``key`` is PEM."""

    certificate: x509.Certificate
    key: bytes = field(repr=False)

    @property
    def files(self) -> dict[str, bytes]:
        """How it stands in a Secret."""
        name = f"{_PREFIX}{key_identifier(self.certificate)}"
        return {f"{name}.crt": encode_pem(self.certificate), f"{name}.key": self.key}


def former_keys(contents: Contents, roots: Iterable[x509.Certificate], now: datetime) -> tuple[FormerKey, ...]:
    """The former intermediates in the Secret of an intermediate, the latest first: of these roots, and not ended."""
    data, known = contents.data, tuple(roots)
    names = sorted(name.removesuffix(".crt") for name in data if name.startswith(_PREFIX) and name.endswith(".crt"))
    pairs = ((data[f"{name}.crt"], data.get(f"{name}.key", b"")) for name in names)
    return _latest(one for crt, key in pairs if (one := _usable(crt, key, known, now)))


def former_after(contents: Contents, roots: Iterable[x509.Certificate], now: datetime) -> tuple[FormerKey, ...]:
    """Those that there are once the intermediate in that Secret is replaced, too."""
    known = tuple(roots)
    last = _usable(contents.data.get("tls.crt", b""), contents.data.get("tls.key", b""), known, now)
    return _latest((*((last,) if last else ()), *former_keys(contents, known, now)))


def _latest(found: Iterable[FormerKey]) -> tuple[FormerKey, ...]:
    return tuple(sorted(found, key=lambda one: one.certificate.not_valid_before_utc, reverse=True)[:MOST])


def _usable(crt: bytes, key: bytes, roots: tuple[x509.Certificate, ...], now: datetime) -> FormerKey | None:
    try:
        found = check_credential(crt, key).leaf
    except CredentialBroken:
        return None
    of_ours = any(_issued(found.certificate, roots))
    return FormerKey(found.certificate, key) if of_ours and now <= found.not_after else None


def _issued(certificate: x509.Certificate, roots: tuple[x509.Certificate, ...]) -> Iterator[bool]:
    for root in roots:
        try:
            certificate.verify_directly_issued_by(root)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            continue
        yield is_authority(certificate)
