"""All that the issuer knows, in memory: clients, authorities, signing keys and its own server certificate.

It is filled by ``sources`` from the Kubernetes API, or by a test. Every update touches only what changed; every look-up
of a request is a dict's.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

from cryptography import x509

from mintls.core.oauth.accounting import Account
from mintls.core.oauth.claims import ClaimTable, Contest, Key
from mintls.core.oauth.client import Client, prepare
from mintls.core.oauth.client_keys import ClientKeys
from mintls.core.oauth.client_signing_keys import NONE as NO_CLIENT_SIGNING_KEYS
from mintls.core.oauth.client_signing_keys import ClientSigningKeys
from mintls.core.oauth.registration import Registration
from mintls.core.oauth.registration_grant import RegistrationGrant
from mintls.core.oauth.self_signed import SELF_SIGNED, may_be_registered
from mintls.core.oauth.signing_keys import SigningKey, published_keys
from mintls.core.pki.crl import RevocationList
from mintls.core.pki.names import InvalidName, NormalizedName, normalize_subject
from mintls.core.pki.trust import TrustAnchors


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """The issuer's server certificate as a Secret holds it, checked.

    Attributes:
        chain: ``tls.crt``: leaf and intermediates, PEM.
        key: ``tls.key``, PEM. Not in the repr.
        not_after: End of the leaf's validity, aware UTC.
    """

    chain: bytes = field(repr=False)
    key: bytes = field(repr=False)
    not_after: datetime


@dataclass(frozen=True, slots=True)
class Trust:
    """The keys of one authority.

    Attributes:
        version: A number that no other keys ever had, in this process.
        anchors: The keys themselves.
    """

    version: int
    anchors: TrustAnchors


class Directory:
    """What is known now. Not for several threads.

    Attributes:
        signing_keys: The issuer's signing keys.
        asked_keys: Those that clients ask for.
        server_certificate: Its server certificate; ``None`` before the first.
    """

    def __init__(self, issuer: str) -> None:
        self._issuer = issuer
        self._claims = ClaimTable()
        self._clients: dict[str, Client] = {}
        self._fetched: dict[tuple[str, str, str], ClientKeys] = {}
        self._elsewhere: set[str] = set()
        self._registered: dict[str, frozenset[x509.Certificate]] = {}
        self._handshake: frozenset[x509.Certificate] | None = None
        self._trust: dict[str, Trust] = {}
        self._versions = count(1)
        self._spent: set[str] = set()
        self._accounts: dict[str, Account] = {}
        self._grants: dict[str, RegistrationGrant] = {}
        self._lists: dict[str, tuple[RevocationList, ...]] = {}
        self._listeners: list[Callable[[], None]] = []
        self._followers: list[Callable[[str], None]] = []
        self.signing_keys: tuple[SigningKey, ...] = ()
        self.asked_keys = NO_CLIENT_SIGNING_KEYS
        self._by_kid: dict[str, tuple[SigningKey, str]] = {}
        self.server_certificate: ServerCertificate | None = None

    def on_tls_change(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` whenever the trusted CAs or the server certificate have changed."""
        self._listeners.append(listener)

    def on_client_change(self, follower: Callable[[str], None]) -> None:
        """Call ``follower`` with the id of each client that may have changed, come or gone."""
        self._followers.append(follower)

    def client(self, client_id: str) -> Client | None:
        """The client that holds the id; ``None`` for an unknown or contested one."""
        return self._clients.get(client_id)

    def client_of(self, key: Key) -> Client | None:
        """The client of an OAuthClient, by namespace and name; ``None`` if there is none, or it is contested."""
        registration = self._claims.get(key)
        client = self._clients.get(registration.client_id) if registration else None
        return client if client and client.registration is registration else None

    def knows(self, registration: Registration) -> bool:
        """Whether this registration has arrived, or a later one of the same object."""
        known = self._claims.get(registration.key)
        return known is not None and known.uid == registration.uid and known.generation >= registration.generation

    def rival(self, registration: Registration) -> Contest | None:
        """The first claim of a registration that another client makes as well; ``None`` if there is none."""
        return self._claims.rival(registration)

    @property
    def grants(self) -> tuple[RegistrationGrant, ...]:
        """Who may register clients."""
        return tuple(self._grants.values())

    def put_grant(self, grant: RegistrationGrant) -> None:
        """Whoever has the token of a grant may register clients."""
        self._grants[grant.name] = grant

    def remove_grant(self, name: str) -> None:
        """Nobody may any more by the grant of that name; unknown ones are no error."""
        self._grants.pop(name, None)

    def trust(self, authority: str) -> Trust | None:
        """The keys of a CertificateAuthority; ``None`` if there is none of that name, or it has no keys."""
        return self._trust.get(authority)

    @property
    def clients(self) -> int:
        """How many clients can be authenticated."""
        return len(self._clients)

    @property
    def authorities(self) -> tuple[str, ...]:
        """The names of the authorities that have keys."""
        return tuple(self._trust)

    @property
    def anchors(self) -> tuple[x509.Certificate, ...]:
        """The roots of all authorities."""
        return tuple(root for trust in self._trust.values() for root in trust.anchors.roots)

    @property
    def authority_certificates(self) -> tuple[x509.Certificate, ...]:
        """The roots of all authorities, and the intermediates that are known."""
        return self.anchors + tuple(ca for trust in self._trust.values() for ca in trust.anchors.intermediates)

    @property
    def registered_certificates(self) -> frozenset[x509.Certificate]:
        """The self-signed certificates that clients have registered; the same object while nothing changes.

        Without those that are called as a CA is: OpenSSL looks a CA up by its name, and would take one for the other.
        """
        if self._handshake is None:
            cas = {_called(ca) for ca in self.authority_certificates}
            registered = {certificate for own in self._registered.values() for certificate in own}
            self._handshake = frozenset(found for found in registered if _called(found) not in cas)
        return self._handshake

    @property
    def awaits_strangers(self) -> bool:
        """Whether a client may come with a certificate that is not known yet: those at its URL may have changed."""
        return bool(self._elsewhere)

    def admits(self, certificate: x509.Certificate) -> bool:
        """Whether one that is not known may pass the handshake, so that a request can say of which client it is.

        It has to be one that could be registered: of no CA, and not called as one.
        """
        if not self.awaits_strangers or not may_be_registered(certificate):
            return False
        return _called(certificate) not in {_called(ca) for ca in self.authority_certificates}

    def missing(self) -> tuple[str, ...]:
        """What has to come before anybody can be served; empty when there is nothing."""
        needed = (
            ("no CertificateAuthority with keys", self._trust),
            ("no signing keys", self.signing_keys),
            ("no server certificate", self.server_certificate),
        )
        return tuple(what for what, there in needed if not there)

    def account(self, uid: str) -> Account | None:
        """What the ClientCertificate with a uid says of its certificates; ``None`` if there is none."""
        return self._accounts.get(uid)

    def put_account(self, account: Account) -> None:
        """A ClientCertificate is as it is now."""
        self._accounts[account.uid] = account

    def remove_account(self, uid: str) -> None:
        """A ClientCertificate is gone, and with it whatever was issued for it; unknown ones are no error."""
        self._accounts.pop(uid, None)

    def lists(self, authority: str) -> tuple[RevocationList, ...]:
        """The CRLs of a CertificateAuthority, that of the CA that signs now first; none if none are published."""
        return self._lists.get(authority, ())

    def put_lists(self, authority: str, lists: tuple[RevocationList, ...]) -> None:
        """Set the CRLs of an authority."""
        self._lists[authority] = lists

    def is_spent(self, name: str) -> bool:
        """Whether an identifier is spent, see ``mintls.core.oauth.spent``."""
        return name in self._spent

    @property
    def spent(self) -> int:
        """How many identifiers are spent."""
        return len(self._spent)

    def put_spent(self, name: str) -> None:
        """An identifier is spent."""
        self._spent.add(name)

    def remove_spent(self, name: str) -> None:
        """A spent identifier need not be remembered any more; unknown ones are no error."""
        self._spent.discard(name)

    def put_client(self, registration: Registration) -> None:
        """Add or replace a client."""
        old = self._claims.get(registration.key)
        rivals = self._claims.put(registration)
        self._settle({registration.client_id} | ({old.client_id} if old else set()), rivals)

    def remove_client(self, key: Key) -> None:
        """Take a client out, by namespace and name; unknown ones are no error."""
        old = self._claims.get(key)
        rivals = self._claims.remove(key)
        self._settle({old.client_id} if old else set(), rivals)

    def put_client_keys(self, registration: Registration, keys: ClientKeys) -> None:
        """What was found at the URL of a client."""
        self._fetched[registration.jwks_source] = keys
        self._decide(registration.client_id)

    def remove_client_keys(self, registration: Registration) -> None:
        """What was found at the URL of a client that is no longer, or has another URL; unknown ones are no error."""
        self._fetched.pop(registration.jwks_source, None)

    def put_authority(self, name: str, anchors: TrustAnchors) -> None:
        """Set the keys of an authority; none means that it vouches for nobody."""
        known = self._trust.get(name)
        if known is not None and known.anchors == anchors:
            return
        if anchors.roots:
            self._trust[name] = Trust(next(self._versions), anchors)
        elif self._trust.pop(name, None) is None:
            return
        self._announce()

    def remove_authority(self, name: str) -> None:
        """Trust an authority no longer."""
        if self._trust.pop(name, None) is not None:
            self._announce()

    def put_signing_keys(self, keys: tuple[SigningKey, ...]) -> None:
        """Set the signing keys."""
        self.signing_keys = keys
        self._index_keys()

    def put_asked_keys(self, keys: ClientSigningKeys) -> None:
        """Set the signing keys that clients ask for."""
        self.asked_keys = keys
        self._index_keys()

    @property
    def public_keys(self) -> tuple[SigningKey, ...]:
        """What may have signed any client's tokens: the issuer's keys, and those for further algorithms."""
        return (*self.signing_keys, *self.asked_keys.all_shared)

    def verification_key(self, kid: str, now: datetime) -> tuple[SigningKey, str] | None:
        """The published key of an id, and the uid of the client that it signs for, "" for all; ``None`` for none."""
        found = self._by_kid.get(kid)
        return found if found and published_keys(found[:1], now) else None

    def _index_keys(self) -> None:
        own = ((key, uid) for uid, keys in self.asked_keys.dedicated.items() for key in keys)
        # The issuer's last: whatever is in the other Secret, its own keys are its own.
        self._by_kid = {key.kid: (key, uid) for key, uid in (*own, *((key, "") for key in self.public_keys))}

    def put_server_certificate(self, certificate: ServerCertificate) -> None:
        """Set the server certificate."""
        if certificate != self.server_certificate:
            self.server_certificate = certificate
            self._announce()

    def _settle(self, client_ids: set[str], rivals: Iterable[Key]) -> None:
        """Decide anew who holds each of the ids that may have changed hands."""
        for key in rivals:
            rival = self._claims.get(key)
            if rival is not None:
                client_ids.add(rival.client_id)
        for client_id in client_ids:
            self._decide(client_id)

    def _decide(self, client_id: str) -> None:
        holder = self._claims.by_client_id(client_id)
        if holder is None:
            self._clients.pop(client_id, None)
        else:
            self._prepare(holder)
        client = self._clients.get(client_id)
        self._decide_certificates(client_id, client)
        for follower in self._followers:
            follower(client_id)

    def _prepare(self, holder: Registration) -> None:
        known, fetched = self._clients.get(holder.client_id), self._fetched.get(holder.jwks_source)
        stale = holder.jwks_uri and known is not None and known.keys is not fetched
        if known is None or known.registration is not holder or stale:
            self._clients[holder.client_id] = prepare(holder, self._issuer, fetched)

    def _decide_certificates(self, client_id: str, client: Client | None) -> None:
        self._elsewhere.discard(client_id)
        if client and client.registration.jwks_uri and client.registration.token_endpoint_auth_method == SELF_SIGNED:
            self._elsewhere.add(client_id)
        certificates = client.keys.certificates if client and client.keys else frozenset()
        if self._registered.get(client_id, frozenset()) == certificates:
            return
        self._registered.pop(client_id, None)
        if certificates:
            self._registered[client_id] = certificates
        self._handshake = None

    def _announce(self) -> None:
        self._handshake = None
        for listener in self._listeners:
            listener()


def _called(certificate: x509.Certificate) -> NormalizedName | bytes:
    """What the certificate is called, so that whatever OpenSSL takes for one name is one here, too."""
    try:
        return normalize_subject(certificate.subject)
    except InvalidName:
        return certificate.subject.public_bytes()
