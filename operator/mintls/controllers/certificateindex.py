"""ClientCertificates by what they name."""

from collections.abc import Callable, Hashable, Iterable
from datetime import datetime
from typing import Protocol

from mintls.api.v1alpha1 import ClientCertificate
from mintls.controllers.objects import ObjectKey
from mintls.core.multimap import MultiMap
from mintls.reconcile.keystores import password_secrets


class Certificates(Protocol):
    """Where ClientCertificates are kept."""

    def get(self, key: ObjectKey, /) -> ClientCertificate | None:
        """The one of that namespace and name as it is now; ``None`` if there is none."""
        ...

    def keys(self) -> Iterable[ObjectKey]:
        """Of all of them."""
        ...

    def items(self) -> Iterable[tuple[ObjectKey, ClientCertificate]]:
        """All of them."""
        ...


class CertificateIndex:
    """Which ClientCertificates name a client, an authority, or a Secret to write to or with a password.

    There are tables for what is asked about one object at a time. What is asked about all of an authority or of a
    namespace is followed by a look at each of them, so to look for them takes little of that, and no memory.
    """

    def __init__(self, certificates: Callable[[], Certificates]) -> None:
        """Prepare; ``certificates`` says where they are kept."""
        self._certificates = certificates
        self._by_client = MultiMap[ObjectKey, ObjectKey]()
        # By a hash: the Secret's namespace and name would be in memory for this alone.
        self._by_secret = MultiMap[int, ObjectKey]()
        self._by_password = MultiMap[ObjectKey, ObjectKey]()

    def changed(self, key: ObjectKey, old: ClientCertificate | None, new: ClientCertificate | None) -> None:
        """Follow one object."""
        _move(self._by_client, key, _clients(key, old), _clients(key, new))
        _move(self._by_secret, key, _hashes(_secrets(key, old)), _hashes(_secrets(key, new)))
        _move(self._by_password, key, passwords_of(old), passwords_of(new))

    def end_of(self, key: ObjectKey) -> datetime | None:
        """When its certificate ends; ``None`` if it has none."""
        certificate = self._certificates().get(key)
        return certificate.status.not_after if certificate is not None else None

    def of_client(self, client: ObjectKey) -> frozenset[ObjectKey]:
        """Those that authenticate a client."""
        return self._by_client.get(client)

    def of_authority(self, name: str) -> frozenset[ObjectKey]:
        """Those that an authority signs."""
        every = self._certificates().items()
        return frozenset(key for key, certificate in every if certificate.spec.authority_ref.name == name)

    def of_all_authorities(self) -> frozenset[ObjectKey]:
        """All of them."""
        return frozenset(self._certificates().keys())

    def of_namespace(self, namespace: str) -> frozenset[ObjectKey]:
        """Those of a namespace."""
        return frozenset(key for key in self.of_all_authorities() if key[0] == namespace)

    def of_secret(self, secret: ObjectKey) -> frozenset[ObjectKey]:
        """Those that write to a Secret."""
        found = self._by_secret.get(hash(secret))
        return frozenset(key for key in found if secret in _secrets(key, self._certificates().get(key)))

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


def _hashes(some: frozenset[ObjectKey]) -> frozenset[int]:
    return frozenset(map(hash, some))


def _clients(key: ObjectKey, certificate: ClientCertificate | None) -> frozenset[ObjectKey]:
    if certificate is None:
        return frozenset()
    client = (key[0], certificate.spec.client_ref.name)
    # Mostly it has the client's name; one tuple is enough then.
    return frozenset((key if client == key else client,))


def _secrets(key: ObjectKey, certificate: ClientCertificate | None) -> frozenset[ObjectKey]:
    return frozenset() if certificate is None else frozenset(((key[0], certificate.spec.secret_name),))


def passwords_of(certificate: ClientCertificate | None) -> frozenset[ObjectKey]:
    """The Secrets with passwords of its keystores."""
    if certificate is None:
        return frozenset()
    return frozenset((certificate.metadata.namespace, name) for name in password_secrets(certificate.spec))
