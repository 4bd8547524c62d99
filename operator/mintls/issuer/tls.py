"""TLS of the listeners: contexts that are replaced while connections go on.

Each listener has one base context for its whole life. It carries the rules (versions, whether a certificate is asked
for, how it is checked) and nothing else: no certificate, no anchor. For each handshake ``sni_callback``, which OpenSSL
calls with and without SNI, puts the current context in its place, which has the server certificate and the anchors.
OpenSSL takes the rules of a handshake from the base and certificate and anchors from the replacement, so both are made
by the same function. Should the replacement ever fail, the handshake fails: the base has nothing to serve or to trust.

A client's certificate may have expired at the handshake: so it can be told in OAuth's words. Who uses the certificate
checks the time (``mintls.core.oauth.client_authentication``), on every request.
"""

import os
import ssl
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from mintls.issuer.directory import ServerCertificate

_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL's x509_vfy.h, which Python does not name."""

# Forward secrecy and AEAD only (RFC 9325 section 4.2); TLS 1.3 has no others.
_TLS12_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


class ListenerTLS:
    """The TLS of one listener.

    Attributes:
        base: The context to listen with.
    """

    def __init__(self, *, asks_for_certificate: bool) -> None:
        self._asks = asks_for_certificate
        self._current: ssl.SSLContext | None = None
        self.base = _rules(asks_for_certificate=asks_for_certificate)
        self.base.sni_callback = self._replace

    def update(self, certificate: ServerCertificate, authorities: Iterable[x509.Certificate]) -> None:
        """Use another server certificate and other CAs from the next handshake on. Connections go on.

        Args:
            certificate: The server certificate.
            authorities: The CAs whose certificates are let through: roots, and intermediates that help to reach them.

        Raises:
            ssl.SSLError: OpenSSL does not take the certificate; the context stays as it was.
        """
        context = _rules(asks_for_certificate=self._asks)
        _load_certificate(context, certificate)
        if self._asks:
            _trust(context, authorities)
        self._current = context

    def _replace(self, connection: ssl.SSLObject, _name: str | None, _base: ssl.SSLContext) -> int | None:
        if self._current is None:
            return ssl.AlertDescription.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = self._current
        return None


def _rules(*, asks_for_certificate: bool) -> ssl.SSLContext:
    # Not create_default_context: that would trust the system's CAs, and any intermediate as if it were a root.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_TLS12_CIPHERS)
    context.set_alpn_protocols(["http/1.1"])
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    # No resumption in TLS 1.3. What TLS 1.2 resumes by session id is checked on every request like any other.
    context.num_tickets = 0
    if asks_for_certificate:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.verify_flags |= ssl.VERIFY_X509_STRICT | _NO_CHECK_TIME
    return context


def _trust(context: ssl.SSLContext, authorities: Iterable[x509.Certificate]) -> None:
    certificates = b"".join(authority.public_bytes(Encoding.DER) for authority in authorities)
    if certificates:
        context.load_verify_locations(cadata=certificates)


def _load_certificate(context: ssl.SSLContext, certificate: ServerCertificate) -> None:
    with _as_file(certificate.key + b"\n" + certificate.chain) as path:
        context.load_cert_chain(path)


@contextmanager
def _as_file(content: bytes) -> Iterator[str]:
    """A file with the content, which Python's ssl needs; in memory where the system can, else private and short-lived.

    A key that is never written to a disk cannot be found there.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("tls", os.MFD_CLOEXEC)
        try:
            os.write(descriptor, content)
            yield f"/proc/self/fd/{descriptor}"
        finally:
            os.close(descriptor)
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(content)
            file.flush()
            yield file.name
