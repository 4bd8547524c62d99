"""TLS of the listeners: contexts that are replaced while connections go on.

Each listener has one base context for its whole life. It carries the rules (versions, whether a certificate is asked
for, how it is checked) and nothing else: no certificate, no anchor. For each handshake ``sni_callback``, which OpenSSL
calls with and without SNI, puts the current context in its place, which has the server certificate and the anchors.
OpenSSL takes the rules of a handshake from the base and certificate and anchors from the replacement, so both are made
by the same function. Should the replacement ever fail, the handshake fails: the base has nothing to serve or to trust.

A client's certificate may have expired at the handshake: so it can be told in OAuth's words. Who uses the certificate
checks the time (``mintls.core.oauth.client_authentication``), on every request.
"""

import logging
import os
import ssl
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from mintls.issuer.directory import ServerCertificate
from mintls.issuer.handshake import CERTIFICATE, HANDSHAKE, leaf_of

logger = logging.getLogger(__name__)

type Admits = Callable[[x509.Certificate], bool]
"""Whether a certificate that is not known yet may pass the handshake: a client may be about to have it known."""

type Registered = Callable[[], frozenset[x509.Certificate]]
"""The self-signed certificates that clients have registered; the same object as long as nothing changed."""

_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME of OpenSSL's x509_vfy.h, which Python does not name."""

_FEW = 64
"""So many anchors are loaded anew within some tens of milliseconds."""

# Forward secrecy and AEAD only (RFC 9325 section 4.2); TLS 1.3 has no others.
_TLS12_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


class ListenerTLS:
    """The TLS of one listener.

    Attributes:
        base: The context to listen with.
    """

    def __init__(
        self,
        *,
        asks_for_certificate: bool,
        protocol: str = "http/1.1",
        registered: Registered = frozenset,
        awaits_strangers: Callable[[], bool] = bool,
        admits: Admits = lambda _certificate: False,
    ) -> None:
        self._asks = asks_for_certificate
        self._protocol = protocol
        self._registered = registered
        self._awaits_strangers = awaits_strangers
        self._admits = admits
        self._strangers = 0
        self._serving: tuple[ServerCertificate, tuple[x509.Certificate, ...]] | None = None
        self._current: ssl.SSLContext | None = None
        self._seen: frozenset[x509.Certificate] = frozenset()
        self._loaded: frozenset[x509.Certificate] = frozenset()
        self.base = self._rules()
        self.base.sni_callback = self._replace

    def update(self, certificate: ServerCertificate, authorities: Iterable[x509.Certificate]) -> None:
        """Use another server certificate and other CAs from the next handshake on. Connections go on.

        Args:
            certificate: The server certificate.
            authorities: The CAs whose certificates are let through: roots, and intermediates that help to reach them.

        Raises:
            ssl.SSLError: OpenSSL does not take the certificate; the context stays as it was.
        """
        serving = (certificate, tuple(authorities))
        wanted = self._registered() if self._asks else frozenset()
        self._current = self._context(*serving, wanted)
        self._serving, self._seen, self._loaded, self._strangers = serving, wanted, wanted, 0

    def _rules(self) -> ssl.SSLContext:
        return _rules(asks_for_certificate=self._asks, protocol=self._protocol)

    def _context(
        self,
        certificate: ServerCertificate,
        authorities: Iterable[x509.Certificate],
        registered: Iterable[x509.Certificate],
    ) -> ssl.SSLContext:
        context = self._rules()
        _load_certificate(context, certificate)
        if self._asks:
            _trust(context, authorities)
            _trust_each(context, registered)
        return context

    def _catch_up(self, context: ssl.SSLContext) -> ssl.SSLContext:
        """The context with the certificates that are registered now; looked at when somebody connects.

        An anchor takes half a millisecond to load and cannot be taken out again. So new ones are added to the context
        that there is; and one that is registered no longer goes at once while there are few, and when it has company
        while there are many. That it is registered no longer is checked on each request, whatever the handshake says.
        """
        wanted = self._registered()
        if self._serving is None:
            return context
        if self._strangers >= max(_FEW, len(self._loaded)):
            self._seen = self._loaded = wanted
            self._strangers = 0
            return self._context(*self._serving, wanted)
        if wanted is self._seen:
            return context
        stale = len(self._loaded - wanted)
        if stale and (len(self._loaded) <= _FEW or stale * 4 >= len(self._loaded)):
            context, self._loaded, self._strangers = self._context(*self._serving, wanted), wanted, 0
        else:
            _trust_each(context, wanted - self._loaded)
            self._loaded |= wanted
        self._seen = wanted
        return context

    def _replace(self, connection: ssl.SSLObject, _name: str | None, _base: ssl.SSLContext) -> int | None:
        if self._current is None:
            return ssl.AlertDescription.ALERT_DESCRIPTION_INTERNAL_ERROR
        if self._asks:
            self._current = self._catch_up(self._current)
            _listen(self._current, self._meet if self._awaits_strangers() else None)
        connection.context = self._current
        return None

    def _meet(  # noqa: PLR0917 - as ssl calls it
        self, connection: ssl.SSLObject, direction: str, version: int, content: int, kind: int, message: bytes
    ) -> None:
        """Trust a certificate that is not known yet, just before OpenSSL judges it, as if it were registered.

        It vouches for nothing but itself, as each registered one. They are forgotten when they are as many as those.
        """
        if content != HANDSHAKE or kind != CERTIFICATE or direction != "read":
            return
        try:
            leaf = leaf_of(message, tls13=version == ssl.TLSVersion.TLSv1_3)
            if leaf is None or leaf in self._loaded or not self._admits(leaf):
                return
            connection.context.load_verify_locations(cadata=leaf.public_bytes(Encoding.DER))
            self._strangers += 1
        except (ValueError, ssl.SSLError) as error:
            logger.info("a certificate in a handshake is let go: %s", type(error).__name__)


def _listen(context: ssl.SSLContext, callback: Callable[..., None] | None) -> None:
    """Have the messages of handshakes shown, or not any more. Where Python cannot, strangers end in the handshake."""
    if context._msg_callback != callback:  # type: ignore[attr-defined] # noqa: SLF001 - nothing public shows it
        context._msg_callback = callback  # type: ignore[attr-defined] # noqa: SLF001


def _rules(*, asks_for_certificate: bool, protocol: str) -> ssl.SSLContext:
    # Not create_default_context: that would trust the system's CAs, and any intermediate as if it were a root.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_TLS12_CIPHERS)
    context.set_alpn_protocols([protocol])
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    # No resumption in TLS 1.3. What TLS 1.2 resumes by session id is checked on every request like any other.
    context.num_tickets = 0
    if asks_for_certificate:
        context.verify_mode = ssl.CERT_OPTIONAL
        # Partial chains: else OpenSSL looks for a self-signed certificate by the name of its subject alone, and finds
        # the other one of a client that registered two of one name.
        context.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
    return context


def _trust(context: ssl.SSLContext, authorities: Iterable[x509.Certificate]) -> None:
    certificates = b"".join(authority.public_bytes(Encoding.DER) for authority in authorities)
    if certificates:
        context.load_verify_locations(cadata=certificates)


def _trust_each(context: ssl.SSLContext, certificates: Iterable[x509.Certificate]) -> None:
    """One by one: a certificate that OpenSSL does not take must not keep the others' clients out."""
    for certificate in certificates:
        try:
            context.load_verify_locations(cadata=certificate.public_bytes(Encoding.DER))
        except ssl.SSLError as error:
            logger.error("OpenSSL refuses a registered certificate, which is left out: %s", error.reason)  # noqa: TRY400 - the message says it all


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
