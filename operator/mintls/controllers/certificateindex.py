"""ClientCertificates by what they name."""

from collections.abc import Hashable
from datetime import datetime

from mintls.api.v1alpha1 import ClientCertificate
from mintls.controllers.objects import ObjectKey
from mintls.core.multimap import MultiMap
from mintls.reconcile.keystores import password_secrets


class CertificateIndex:
    """Which ClientCertificates name a client, an authority, or a Secret to write to or with a password."""

    def __init__(self) -> None:
        self._by_client = MultiMap[ObjectKey, ObjectKey]()
        self._by_authority = MultiMap[str, ObjectKey]()
        self._by_secret = MultiMap[ObjectKey, ObjectKey]()
        self._by_password = MultiMap[ObjectKey, ObjectKey]()
        self._ends: dict[ObjectKey, datetime] = {}

    def changed(self, key: ObjectKey, old: ClientCertificate | None, new: ClientCertificate | None) -> None:
        """Follow one object."""
        _move(self._by_client, key, _clients(key, old), _clients(key, new))
        _move(self._by_authority, key, _authorities(old), _authorities(new))
        _move(self._by_secret, key, _secrets(key, old), _secrets(key, new))
        _move(self._by_password, key, passwords_of(old), passwords_of(new))
        if new is not None and new.status.not_after is not None:
            self._ends[key] = new.status.not_after
        else:
            self._ends.pop(key, None)

    def end_of(self, key: ObjectKey) -> datetime | None:
        """When its certificate ends; ``None`` if it has none."""
        return self._ends.get(key)

    def of_client(self, client: ObjectKey) -> frozenset[ObjectKey]:
        """Those that authenticate a client."""
        return self._by_client.get(client)

    def of_authority(self, name: str) -> frozenset[ObjectKey]:
        """Those that an authority signs."""
        return self._by_authority.get(name)

    def of_all_authorities(self) -> frozenset[ObjectKey]:
        """All of them."""
        return frozenset().union(*map(self._by_authority.get, self._by_authority))

    def of_namespace(self, namespace: str) -> frozenset[ObjectKey]:
        """Those of a namespace."""
        return frozenset(key for key in self.of_all_authorities() if key[0] == namespace)

    def of_secret(self, secret: ObjectKey) -> frozenset[ObjectKey]:
        """Those that write to a Secret."""
        return self._by_secret.get(secret)

    def of_password(self, secret: ObjectKey) -> frozenset[ObjectKey]:
        """Those with a keystore whose password is in a Secret."""
        return self._by_password.get(secret)


def _move[K: Hashable](
    index: MultiMap[K, ObjectKey], key: ObjectKey, before: frozenset[K], after: frozenset[K]
) -> None:
    """What stays is left alone: it has the very key that the store has, in memory once."""
    for one in before - after:
        index.discard(one, key)
    for one in after - before:
        index.add(one, key)


def _clients(key: ObjectKey, certificate: ClientCertificate | None) -> frozenset[ObjectKey]:
    if certificate is None:
        return frozenset()
    client = (key[0], certificate.spec.client_ref.name)
    # Mostly it has the client's name; one tuple is enough then.
    return frozenset((key if client == key else client,))


def _authorities(certificate: ClientCertificate | None) -> frozenset[str]:
    return frozenset() if certificate is None else frozenset((certificate.spec.authority_ref.name,))


def _secrets(key: ObjectKey, certificate: ClientCertificate | None) -> frozenset[ObjectKey]:
    return frozenset() if certificate is None else frozenset(((key[0], certificate.spec.secret_name),))


def passwords_of(certificate: ClientCertificate | None) -> frozenset[ObjectKey]:
    """The Secrets with passwords of its keystores."""
    if certificate is None:
        return frozenset()
    return frozenset((certificate.metadata.namespace, name) for name in password_secrets(certificate.spec))
