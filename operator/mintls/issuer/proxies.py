"""Proxies that end their clients' TLS, and the certificates that they hand on (RFC 9440).

A header is believed only from a peer whose own certificate proves in the handshake, and still, that it is a client that
the issuer was told to be such a proxy. What such a peer sends is always somebody else's request: its own certificate
authenticates nobody then, or whoever it lets through without one could get the proxy's tokens.
"""

from collections.abc import Sequence
from datetime import datetime

from mintls.core.oauth.client_authentication import authenticate
from mintls.core.oauth.errors import InvalidClient, Reason, TemporarilyUnavailable
from mintls.core.oauth.forwarded_certificate import HeaderLines, forwarded_chain
from mintls.core.pki.trust import PathInvalid, PathProblem
from mintls.issuer.directory import Directory
from mintls.issuer.paths import Paths
from mintls.issuer.peer import Peer, Peers
from mintls.issuer.settings import TrustedProxy


class Proxies:
    """The proxies that are believed."""

    def __init__(self, trusted: Sequence[TrustedProxy], directory: Directory, paths: Paths) -> None:
        self._trusted = trusted
        self._directory = directory
        self._paths = paths
        self._peers = Peers()

    def of(self, peer: Peer | None, now: datetime) -> TrustedProxy | None:
        """The proxy that a peer is; ``None`` if it is none."""
        if peer is None:
            return None
        return next((proxy for proxy in self._trusted if self._is(proxy, peer, now)), None)

    def client_of(self, proxy: TrustedProxy, lines: HeaderLines, now: datetime) -> Peer | None:
        """The client behind a proxy, by the certificate that the proxy hands on; ``None`` if it hands none on.

        Raises:
            InvalidClient: The headers are malformed, or the certificate is one that no handshake here lets through.
        """
        return self.client_presenting(forwarded_chain(proxy.form, lines), now)

    def client_presenting(self, chain: Sequence[bytes], now: datetime) -> Peer | None:
        """The client behind a proxy, by what it presented: leaf first, in DER; ``None`` for none.

        Raises:
            InvalidClient: No handshake here lets that certificate through.
        """
        peer = self._peers.presenting(chain)
        if peer is not None:
            self._let_through(peer, now)
        return peer

    def _is(self, proxy: TrustedProxy, peer: Peer, now: datetime) -> bool:
        client = self._directory.client_of((proxy.namespace, proxy.name))
        path_to = self._paths.finder(peer, now)
        try:
            authenticate(client, peer.certificate, path_to, self._directory.account, now)
        except (InvalidClient, TemporarilyUnavailable):  # of a proxy that keeps its keys elsewhere nobody may know them
            return False
        return True

    def _let_through(self, peer: Peer, now: datetime) -> None:
        """What the handshake here checks: the proxy may trust others, or nobody."""
        certificate = peer.certificate.certificate
        if certificate in self._directory.registered_certificates or self._directory.admits(certificate):
            return
        path_to = self._paths.finder(peer, now)
        reason = Reason.UNTRUSTED_CERTIFICATE
        for authority in self._directory.authorities:
            try:
                path_to(authority)
            except PathInvalid as error:
                if error.reason is PathProblem.EXPIRED:
                    reason = Reason.EXPIRED_CERTIFICATE
            else:
                return
        raise InvalidClient(reason, "handed on by a proxy")
