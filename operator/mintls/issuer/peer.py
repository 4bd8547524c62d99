"""The certificate at the other end of a connection: decoded once, however many requests come over it."""

import hashlib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol
from weakref import WeakKeyDictionary

from cryptography import x509

from mintls.core.oauth.errors import InvalidClient, Reason
from mintls.core.pki.certificate import CertificateFacts, InvalidCertificate, read_certificate
from mintls.issuer.recent import Recent

_REMEMBERED = 4096
# RFC 5280 knows no limit; ours is far above any real chain and keeps what one handshake may cost small.
_LONGEST_CHAIN = 8


class Connection(Protocol):
    """What is needed of ``ssl.SSLObject``."""

    def getpeercert(self, binary_form: Literal[True]) -> bytes | None:
        """The peer's certificate in DER; ``None`` if it sent none."""

    def get_unverified_chain(self) -> Sequence[bytes]:
        """The certificates that the peer sent, leaf first, in DER. Fails if it sent none."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end; TLS has seen proof that it holds the leaf's key.

    Attributes:
        key: SHA-256 over all that was presented: the same for the same chain.
        certificate: The leaf.
        presented: The other certificates, as sent.
    """

    key: bytes
    certificate: CertificateFacts
    presented: tuple[x509.Certificate, ...]


class Peers:
    """Peers by connection and, for callers that connect anew for each request, by what they present."""

    def __init__(self) -> None:
        self._by_connection: WeakKeyDictionary[Connection, Peer] = WeakKeyDictionary()
        self._by_chain: Recent[bytes, Peer] = Recent(_REMEMBERED)

    def of(self, connection: Connection | None) -> Peer | None:
        """The peer of a connection; ``None`` if it presented no certificate, or the connection has no TLS.

        Raises:
            InvalidClient: What it presented cannot be decoded.
        """
        if connection is None:
            return None
        peer = self._by_connection.get(connection)
        if peer is None:
            peer = self.presenting(_presented(connection))
            if peer is not None:
                self._by_connection[connection] = peer
        return peer

    def presenting(self, chain: Sequence[bytes]) -> Peer | None:
        """The peer that presents these certificates, leaf first, in DER; ``None`` for none.

        Raises:
            InvalidClient: The leaf cannot be decoded.
        """
        if not chain:
            return None
        key = _key(chain)
        peer = self._by_chain.get(key)
        if peer is None:
            peer = _decode(key, chain)
            self._by_chain.put(key, peer)
        return peer


def ssl_connection(ssl_object: object) -> Connection | None:
    """The connection's TLS state as aiohttp hands it over; ``None`` without TLS."""
    return ssl_object if isinstance(ssl_object, ssl.SSLObject) else None


def _presented(connection: Connection) -> Sequence[bytes]:
    """What the peer sent, leaf first, in DER; empty if it sent no certificate.

    A resumed session knows the leaf, but not always the rest.
    """
    leaf = connection.getpeercert(True)  # noqa: FBT003 - as ssl has it
    return [] if leaf is None else [leaf, *connection.get_unverified_chain()[1:]]


def _key(chain: Sequence[bytes]) -> bytes:
    digest = hashlib.sha256()
    for der in chain:
        digest.update(len(der).to_bytes(4))
        digest.update(der)
    return digest.digest()


def _decode(key: bytes, chain: Sequence[bytes]) -> Peer:
    try:
        certificate = read_certificate(chain[0])
    except InvalidCertificate as error:
        raise InvalidClient(Reason.UNREADABLE_CERTIFICATE, str(error)) from error
    return Peer(key, certificate, tuple(_readable(chain[1:_LONGEST_CHAIN])))


def _readable(chain: Sequence[bytes]) -> list[x509.Certificate]:
    """The CA certificates that can be decoded; one that cannot only misses as a step of a path."""
    certificates = []
    for der in chain:
        try:
            certificates.append(x509.load_der_x509_certificate(der))
        except (ValueError, x509.InvalidVersion):
            continue
    return certificates
