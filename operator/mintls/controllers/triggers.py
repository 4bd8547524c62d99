"""Which objects have to be looked at when one changes."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from mintls.api.v1alpha1 import CertificateAuthority, ClientCertificate, OAuthClient
from mintls.api.v1alpha1.clientcertificate import RESTART_PODS
from mintls.controllers import clientsigningkeys, signingkeys
from mintls.controllers.certificateindex import CertificateIndex, passwords_of
from mintls.controllers.issuedcertificates import IssuedCertificates
from mintls.controllers.keys import Key, Kind
from mintls.controllers.objects import ObjectKey
from mintls.controllers.queue import Lane, ReconcileQueue
from mintls.controllers.trustbundles import NamespaceUse
from mintls.kube.informer import Change
from mintls.reconcile import servercertificate
from mintls.reconcile.certificateauthority import AUTHORITY
from mintls.reconcile.clienttable import ClientTable
from mintls.reconcile.conditions import holds
from mintls.reconcile.credential import SecretView
from mintls.reconcile.trustbundle import Found

BUNDLE_REPORT = Key(Kind.BUNDLE_REPORT)
CLUSTER_TRUST_BUNDLE = Key(Kind.CLUSTER_TRUST_BUNDLE)
SIGNING_KEYS = Key(Kind.SIGNING_KEYS)
CLIENT_SIGNING_KEYS = Key(Kind.CLIENT_SIGNING_KEYS)
SERVER_CERTIFICATE = Key(Kind.SERVER_CERTIFICATE)
_LAST = datetime.max.replace(tzinfo=UTC)


class Triggers:
    """Follows changes in the tables, and fills the queue.

    Attributes:
        caught_up: Whether everything was listed once. Before that nobody waits for one object in particular, so all
            go into the slow lane.
        cluster_bundles: Whether the API serves ClusterTrustBundles.
    """

    def __init__(
        self,
        *,
        queue: ReconcileQueue,
        clients: ClientTable,
        certificates: CertificateIndex,
        use: NamespaceUse,
        issued: IssuedCertificates,
        bundle_namespaces: Callable[[], Iterable[str]],
        passwords_used: Callable[[Iterable[ObjectKey]], None],
        namespace: str,
        authority: str,
    ) -> None:
        """Prepare.

        Args:
            queue: Receives the keys.
            clients: Follows OAuthClients.
            certificates: Follows ClientCertificates.
            use: Follows which namespaces have objects.
            issued: Follows what was issued for which object.
            bundle_namespaces: Where a trust bundle is, or has to be.
            passwords_used: Told of Secrets with passwords that may have come into use or gone out of it.
            namespace: The operator's namespace.
            authority: The authority of the issuer's own certificate.
        """
        self.caught_up = False
        self.cluster_bundles = False
        self._queue = queue
        self._clients = clients
        self._certificates = certificates
        self._use = use
        self._issued = issued
        self._bundle_namespaces = bundle_namespaces
        self._passwords_used = passwords_used
        self._namespace = namespace
        self._authority = authority

    def client_changed(self, key: ObjectKey, old: OAuthClient | None, new: OAuthClient | None) -> None:
        """A client: itself, those that claim what it claims, and the certificates of all of them."""
        asked = self._clients.asks_for_keys(key)
        affected = self._clients.changed(key, old, new) | {key}
        if new is not None and _is_settled(new):
            # At a start there is nothing to do for it, and certificates may have little time left.
            self._queue.add(Key(Kind.CLIENT, *key), self._lane(), _LAST)
            self._add(Kind.CLIENT, affected - {key})
        else:
            self._add(Kind.CLIENT, affected)
        asking = asked or any(map(self._clients.asks_for_keys, affected))
        if asking and _version(old) != _version(new):  # a status that was written changes nothing
            self._queue.add(CLIENT_SIGNING_KEYS, self._lane())
        for client in affected:
            self._add(Kind.CERTIFICATE, self._certificates.of_client(client))
        self._namespace_used(key[0], old, new)

    def certificate_changed(self, key: ObjectKey, old: ClientCertificate | None, new: ClientCertificate | None) -> None:
        """A certificate: itself, and those that want the same Secret."""
        secret = (key[0], old.spec.secret_name) if old is not None else None
        rivals = self._certificates.of_secret(secret) if secret else frozenset[ObjectKey]()
        self._certificates.changed(key, old, new)
        if passwords := passwords_of(old) ^ passwords_of(new):
            self._passwords_used(passwords)
        self._add(Kind.CERTIFICATE, {key} | rivals)
        if new is not None:
            self.credential_written(new)
            self._issued.follow(new)
        self._certificates_end(old, new)
        self._namespace_used(key[0], old, new)

    def _certificates_end(self, old: ClientCertificate | None, new: ClientCertificate | None) -> None:
        """An object that is gone, or is revoked now: the CRLs of all that have signed for it."""
        if old is not None and (new is None or new.metadata.uid != old.metadata.uid):
            self.lists_of(self._issued.authorities_of(old.metadata.uid))
        if new is not None and new.spec.revoked:
            self.lists_of(self._issued.authorities_of(new.metadata.uid))

    def lists_of(self, authorities: Iterable[str]) -> None:
        """The CRLs of these authorities."""
        for name in authorities:
            self._queue.add(Key(Kind.REVOCATION_LIST, "", name), self._lane())

    def record_due(self, authority: str) -> None:
        """The record of what this authority has issued has to take over what the Lease holds."""
        self._queue.add(Key(Kind.ISSUED_RECORD, "", authority), self._lane())

    def credential_written(self, certificate: ClientCertificate) -> None:
        """A ClientCertificate's Secret has other contents: the pods that read it, if they are to be restarted."""
        meta = certificate.metadata
        if RESTART_PODS in meta.annotations:
            self._queue.add(Key(Kind.POD_RESTART, meta.namespace, meta.name), Lane.RENEWAL)

    def authority_changed(
        self, key: ObjectKey, old: CertificateAuthority | None, new: CertificateAuthority | None
    ) -> None:
        """An authority: itself; when it came or went, all that name it."""
        self._queue.add(Key(Kind.AUTHORITY, "", key[1]), self._lane())
        if (old is None) != (new is None):
            self.authority_keys_changed(key[1])

    def authority_keys_changed(self, name: str) -> None:
        """An authority has other keys or limits: its certificates, the clients that it vouches for, all bundles."""
        # The issuer's root is in every client's ca.crt, whoever signed its certificate.
        every = name == self._authority
        certificates = self._certificates
        self._add(Kind.CERTIFICATE, certificates.of_all_authorities() if every else certificates.of_authority(name))
        self._add(Kind.CLIENT, self._clients.of_authority(name))
        self.lists_of((name,))
        self.all_bundles()
        if self.cluster_bundles:
            self._queue.add(CLUSTER_TRUST_BUNDLE, self._lane())
        if every:
            self._queue.add(SERVER_CERTIFICATE, self._lane())

    def certificate_not_had(self, name: str) -> None:
        """A CA elsewhere did not sign."""
        self.authority_told(name)

    def replicas_changed(self, waiting: Iterable[ObjectKey]) -> None:
        """Replicas of the issuer came, went or became ready: the clients that wait to be seen registered."""
        self._add(Kind.CLIENT, waiting)

    def secret_changed(self, key: ObjectKey, view: SecretView) -> None:
        """A Secret with our label, as it is or was at its end: whoever writes to it."""
        self._add(Kind.CERTIFICATE, self._certificates.of_secret(key))
        if key[0] != self._namespace:
            return
        authority = view.labels.get(AUTHORITY)
        if authority:
            self._queue.add(Key(Kind.AUTHORITY, "", authority), self._lane())
        elif key[1] == signingkeys.NAME:
            self._queue.add(SIGNING_KEYS, self._lane())
        elif key[1] == clientsigningkeys.NAME:
            self._queue.add(CLIENT_SIGNING_KEYS, self._lane())
        elif key[1] == servercertificate.NAME:
            self._queue.add(SERVER_CERTIFICATE, self._lane())

    def password_changed(self, secret: ObjectKey) -> None:
        """A Secret with passwords: the certificates whose keystores have them."""
        self._add(Kind.CERTIFICATE, self._certificates.of_password(secret))

    def supplied_authority_changed(self, change: Change[SecretView]) -> None:
        """Somebody else's Secret with an authority's CA: the authority that its label names."""
        for view in (change.old, change.new):
            if view is not None:
                self._queue.add(Key(Kind.AUTHORITY, "", view.labels[AUTHORITY]), self._lane())

    def pod_certificate_request_changed(self, change: Change[dict[str, Any]]) -> None:
        """A pod waits for a certificate."""
        self._queue.add(Key(Kind.POD_CERTIFICATE_REQUEST, *change.key), self._lane())

    def signing_request_changed(self, change: Change[dict[str, Any]]) -> None:
        """Somebody asks for a certificate."""
        self._queue.add(Key(Kind.SIGNING_REQUEST, *change.key), self._lane())

    def cluster_bundle_changed(self, _change: Change[str]) -> None:
        """A ClusterTrustBundle of our signer is other than before."""
        self._queue.add(CLUSTER_TRUST_BUNDLE, self._lane())

    def bundle_changed(self, change: Change[Found]) -> None:
        """A ConfigMap of the bundle's name, ours or not: the bundle of its namespace."""
        self._queue.add(Key(Kind.TRUST_BUNDLE, change.key[0]), self._lane())

    def namespace_changed(self, change: Change[Mapping[str, str]]) -> None:
        """A namespace is new or has other labels: its bundle. With one that is gone everything in it is gone."""
        if change.new is not None and change.new != change.old:
            self._queue.add(Key(Kind.TRUST_BUNDLE, change.key[1]), self._lane())
        if change.new is not None and change.old is not None and change.new != change.old:
            # Which names it may have depends on its labels.
            self._add(Kind.CERTIFICATE, self._certificates.of_namespace(change.key[1]))

    def bundles_reported(self) -> None:
        """There is something else to say of trust bundles that are missing."""
        self._queue.add(BUNDLE_REPORT, self._lane())

    def authority_told(self, name: str) -> None:
        """What is said of an authority is of an earlier time."""
        self._queue.add(Key(Kind.AUTHORITY, "", name), self._lane())

    def all_bundles(self) -> None:
        """Every trust bundle."""
        for namespace in self._bundle_namespaces():
            self._queue.add(Key(Kind.TRUST_BUNDLE, namespace), self._lane())

    def due(self, key: Key) -> None:
        """The scheduler's word. Renewals can wait for somebody who created an object just now."""
        if key.kind == Kind.CERTIFICATE:
            self._queue.add(key, Lane.RENEWAL, self._certificates.end_of((key.namespace, key.name)))
        else:
            self._queue.add(key, Lane.URGENT)

    def _namespace_used(self, namespace: str, old: object | None, new: object | None) -> None:
        if self._use.changed(namespace, old, new):
            self._queue.add(Key(Kind.TRUST_BUNDLE, namespace), self._lane())

    def _add(self, kind: Kind, keys: Iterable[ObjectKey]) -> None:
        lane = self._lane()
        for key in keys:
            ends = self._certificates.end_of(key) if kind == Kind.CERTIFICATE and lane == Lane.RENEWAL else None
            self._queue.add(Key(kind, *key), lane, ends)

    def _lane(self) -> Lane:
        return Lane.URGENT if self.caught_up else Lane.RENEWAL


def _is_settled(client: OAuthClient) -> bool:
    """Whether it was seen registered as it is now."""
    status = client.status
    return status.observed_generation == client.metadata.generation and holds(status.conditions, "Registered")


def _version(client: OAuthClient | None) -> tuple[str, int]:
    return (client.metadata.uid, client.metadata.generation) if client else ("", 0)
