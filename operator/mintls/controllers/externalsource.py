"""A CA elsewhere as a source of certificates: make a request, have it answered, believe nothing of the answer."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding

from mintls.controllers.certificatesource import Order, Signed, SourceError
from mintls.controllers.scheduler import Clock
from mintls.core.pki.answer import Asked, check_answer
from mintls.core.pki.certificate import key_fingerprint
from mintls.core.pki.errors import AnswerWrong
from mintls.core.pki.keys import PrivateKey
from mintls.core.pki.names import SubjectName, general_name, parse_dn
from mintls.core.pki.profiles import EMPTY_NAME
from mintls.reconcile.reasons import Reason


@dataclass(frozen=True, slots=True)
class Question:
    """What a CA elsewhere is asked for.

    Attributes:
        request: The certification request (PKCS #10).
        subject: The subject that it has to have.
        names: The alternative names that it has to have.
        duration: How long it is to be valid.
    """

    request: x509.CertificateSigningRequest = field(repr=False)
    subject: x509.Name
    names: tuple[SubjectName, ...]
    duration: timedelta


class Requester(Protocol):
    """Asks one CA."""

    async def obtain(self, question: Question) -> bytes:
        """Have a request signed.

        Returns:
            Certificates in PEM, leaf first.

        Raises:
            SourceError: There is no certificate.
        """


class ExternalSource:
    """A CA elsewhere, whoever asks it how."""

    def __init__(self, requester: Requester, roots: Sequence[x509.Certificate], clock: Clock) -> None:
        """Prepare.

        Args:
            requester: Asks it.
            roots: The only roots that its certificates may lead to.
            clock: The time.
        """
        self._requester = requester
        self._roots = tuple(roots)
        self._clock = clock

    async def sign(self, order: Order) -> Signed:
        """Have a leaf signed.

        Raises:
            SourceError: It was not signed, or otherwise than it was asked for.
        """
        wanted, duration = order.wanted, order.not_after - order.not_before - order.wanted.authority.backdate
        subject = parse_dn(wanted.subject.value) if wanted.subject else EMPTY_NAME
        request = x509.load_pem_x509_csr(order.request.encode()) if order.request else _request(order, subject)
        answer = await self._requester.obtain(Question(request, subject, wanted.names, duration))
        asked = Asked(
            key=order.public_key,
            names=wanted.normalized_names(),
            usage=wanted.usage,
            duration=duration,
            shortest=wanted.authority.min_duration,
        )
        try:
            checked = check_answer(answer, asked, self._roots, self._clock())
        except AnswerWrong as wrong:
            raise SourceError(
                Reason.EXTERNAL_ANSWER_WRONG, f"the certificate that was sent is not used: {wrong}"
            ) from wrong
        return Signed(checked.leaf, checked.chain, key_fingerprint(checked.root))


def _request(order: Order, subject: x509.Name) -> x509.CertificateSigningRequest:
    if order.key is None:
        raise AssertionError("where there is no request the key is at hand")
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    names = [general_name(name) for name in order.wanted.names]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=not subject.rdns)
    return builder.sign(order.key, _hash(order.key))


def _hash(key: PrivateKey) -> hashes.SHA256 | None:
    return None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()


def request_pem(request: x509.CertificateSigningRequest) -> str:
    """A request in PEM (RFC 7468 section 7)."""
    return request.public_bytes(Encoding.PEM).decode()
