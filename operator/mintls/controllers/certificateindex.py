"""ClientCertificates by what they name."""

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
        namespace = key[0]
        if old is not None:
            self._by_client.discard((namespace, old.spec.client_ref.name), key)
            self._by_authority.discard(old.spec.authority_ref.name, key)
            self._by_secret.discard((namespace, old.spec.secret_name), key)
            for secret in passwords_of(old):
                self._by_password.discard(secret, key)
            self._ends.pop(key, None)
        if new is not None:
            self._by_client.add((namespace, new.spec.client_ref.name), key)
            self._by_authority.add(new.spec.authority_ref.name, key)
            self._by_secret.add((namespace, new.spec.secret_name), key)
            for secret in passwords_of(new):
                self._by_password.add(secret, key)
            if new.status.not_after is not None:
                self._ends[key] = new.status.not_after

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


def passwords_of(certificate: ClientCertificate | None) -> frozenset[ObjectKey]:
    """The Secrets with passwords of its keystores."""
    if certificate is None:
        return frozenset()
    return frozenset((certificate.metadata.namespace, name) for name in password_secrets(certificate.spec))
