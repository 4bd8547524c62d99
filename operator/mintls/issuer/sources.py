"""Where the directory is filled from: watches on the Kubernetes API.

An OAuthClient that cannot be read is no client, and an authority that vanishes is trusted no longer. The two Secrets
are different: while a new content cannot be used, or the Secret is gone, the last good one stays in use, since to stop
answering would help nobody; the operator puts a Secret right, and metrics say so meanwhile. So it is with CRLs. A
Secret that lets register clients is different again: nobody may by one that is gone or cannot be read.
"""

import asyncio
import base64
import binascii
import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, cast

import msgspec
from cryptography import x509

from mintls.api.v1alpha1 import OAuthClient
from mintls.api.v1alpha1.meta import KubeStruct, Time
from mintls.core.oauth.accounting import Account
from mintls.core.oauth.client_signing_keys import ClientSigningKeys, sets_of_files
from mintls.core.oauth.registration import Registration
from mintls.core.oauth.registration_grant import RegistrationGrant, read_grant
from mintls.core.oauth.signing_keys import SigningKey, SigningKeysBroken, decode_signing_keys
from mintls.core.pki.certificate import InvalidCertificate, load_pem_chain
from mintls.core.pki.credential import check_credential
from mintls.core.pki.crl import RevocationList, read_lists
from mintls.core.pki.trust import TrustAnchors
from mintls.issuer.directory import Directory, ServerCertificate
from mintls.issuer.metrics import Metrics, SourceView
from mintls.issuer.settings import RegistrationSecret, Settings
from mintls.kube.client import ApiClient, Object
from mintls.kube.informer import Change, Informer
from mintls.kube.paths import (
    CERTIFICATE_AUTHORITIES,
    CLIENT_CERTIFICATES,
    CONFIGMAPS,
    OAUTH_CLIENTS,
    SECRETS,
    SPENT_IDENTIFIERS,
)
from mintls.reconcile.registration import RegistrationRefused, admit

logger = logging.getLogger(__name__)

SIGNING_KEYS_SECRET = "mintls-signing-keys"
CLIENT_SIGNING_KEYS_SECRET = "mintls-client-signing-keys"
SERVER_CERTIFICATE_SECRET = "mintls-issuer-tls"


class SecretBroken(ValueError):  # noqa: N818 - reads as the sentence that it stands for
    """A Secret lacks a key, or a value is not base64. The message names the key and never holds a value."""


class Sources:
    """The watches. ``changed`` is set after each change that they brought."""

    def __init__(self, api: ApiClient, settings: Settings, directory: Directory, metrics: Metrics) -> None:
        self._api = api
        self._settings = settings
        self._directory = directory
        self._metrics = metrics
        self.changed = asyncio.Event()
        self.spent = self._spent_identifiers()
        # Informer is generic and here of several kinds; what they have in common is all that is used from here on.
        self._informers: Mapping[str, Informer[Any]] = {
            "oauthclients": self._clients(),
            "clientcertificates": self._client_certificates(),
            "certificateauthorities": self._authorities(),
            "signing-keys": self._signing_keys(),
            "client-signing-keys": self._asked_keys(),
            "server-certificate": self._server_certificate(),
            "spentidentifiers": self.spent,
            **{f"registration-{secret.name}": self._grant(secret) for secret in settings.registrations},
            "crls": self._lists(),
        }

    def start(self, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Start the watches; they go on until cancelled."""
        return [tasks.create_task(informer.run(), name=name) for name, informer in self._informers.items()]

    async def synced(self) -> None:
        """Wait until each watch has brought a complete list."""
        await asyncio.gather(*(informer.synced() for informer in self._informers.values()))

    def waiting(self) -> tuple[str, ...]:
        """Which watches have not brought a complete list yet, and why as far as it is known."""
        return tuple(
            f"{name} not read yet" + (f": {informer.problem}" if informer.problem else "")
            for name, informer in self._informers.items()
            if not informer.has_synced
        )

    def views(self) -> list[SourceView]:
        """How the watches are, for the metrics."""
        return [_view(name, informer) for name, informer in self._informers.items()]

    def _clients(self) -> Informer[Registration | None]:
        def decode(item: Object) -> Registration | None:
            try:
                return admit(msgspec.convert(item, OAuthClient), self._settings.installation)
            except RegistrationRefused:
                return None  # the operator says so in the object's status

        def take(change: Change[Registration | None]) -> None:
            if change.new is not None:
                self._directory.put_client(change.new)
            else:
                self._directory.remove_client(change.key)
            self.changed.set()

        return Informer(
            self._api, OAUTH_CLIENTS, decode=decode, on_change=take, on_error=self._on_error("oauthclients")
        )

    def _client_certificates(self) -> Informer[Account]:
        def take(change: Change[Account]) -> None:
            old, new = change.old, change.new
            if old is not None and (new is None or new.uid != old.uid):
                self._directory.remove_account(old.uid)
            if new is not None:
                self._directory.put_account(new)

        return Informer(
            self._api,
            CLIENT_CERTIFICATES,
            decode=_decode_client_certificate,
            on_change=take,
            on_error=self._on_error("clientcertificates"),
        )

    def _authorities(self) -> Informer[TrustAnchors]:
        def take(change: Change[TrustAnchors]) -> None:
            _, name = change.key
            if change.new is not None:
                self._directory.put_authority(name, change.new)
            else:
                self._directory.remove_authority(name)
            self.changed.set()

        return Informer(
            self._api,
            CERTIFICATE_AUTHORITIES,
            decode=_decode_authority,
            on_change=take,
            on_error=self._on_error("certificateauthorities"),
        )

    def _spent_identifiers(self) -> Informer[datetime]:
        def take(change: Change[datetime]) -> None:
            _, name = change.key
            if change.new is not None:
                self._directory.put_spent(name)
            else:
                self._directory.remove_spent(name)

        return Informer(
            self._api,
            SPENT_IDENTIFIERS,
            namespace=self._settings.operator_namespace,
            decode=lambda item: msgspec.convert(item, _Spent).spec.expires,
            on_change=take,
            on_error=self._on_error("spentidentifiers"),
        )

    def _lists(self) -> Informer[tuple[str, tuple[RevocationList, ...]]]:
        def take(change: Change[tuple[str, tuple[RevocationList, ...]]]) -> None:
            if change.new is not None:
                self._directory.put_lists(*change.new)

        return Informer(
            self._api,
            CONFIGMAPS,
            namespace=self._settings.operator_namespace,
            label_selector="app.kubernetes.io/managed-by=mintls,mintls.dev/component=crl",
            decode=_decode_lists,
            on_change=take,
            on_error=self._on_error("crls"),
        )

    def _signing_keys(self) -> Informer[tuple[SigningKey, ...]]:
        return self._secret(SIGNING_KEYS_SECRET, "signing-keys", _decode_signing_keys, self._directory.put_signing_keys)

    def _asked_keys(self) -> Informer[ClientSigningKeys]:
        """There may be none: then no client asks for any."""

        def broken(file: str, error: Exception) -> None:
            logger.error("%s of Secret %s is left out: %s", file, CLIENT_SIGNING_KEYS_SECRET, error)
            self._metrics.count_source_error("client-signing-keys")

        return self._secret(
            CLIENT_SIGNING_KEYS_SECRET,
            "client-signing-keys",
            lambda item: _decode_client_signing_keys(item, broken),
            self._directory.put_asked_keys,
        )

    def _server_certificate(self) -> Informer[ServerCertificate]:
        return self._secret(
            SERVER_CERTIFICATE_SECRET,
            "server-certificate",
            _decode_server_certificate,
            self._directory.put_server_certificate,
        )

    def _grant(self, secret: RegistrationSecret) -> Informer[RegistrationGrant]:
        def decode(item: Object) -> RegistrationGrant:
            return read_grant(secret.name, secret.namespace, {key: _value(item, key) for key in item.get("data") or {}})

        def take(change: Change[RegistrationGrant]) -> None:
            if change.new is not None:
                self._directory.put_grant(change.new)
            else:
                self._directory.remove_grant(secret.name)

        return self._watched_secret(secret.name, f"registration-{secret.name}", decode, take)

    def _secret[T](
        self, name: str, source: str, decode: Callable[[Object], T], put: Callable[[T], None]
    ) -> Informer[T]:
        def take(change: Change[T]) -> None:
            if change.new is not None:
                put(change.new)
                self.changed.set()
            else:
                logger.warning("Secret %s is gone or cannot be used; what it held stays in use", name)
                self._metrics.count_source_error(source)

        return self._watched_secret(name, source, decode, take)

    def _watched_secret[T](
        self, name: str, source: str, decode: Callable[[Object], T], take: Callable[[Change[T]], None]
    ) -> Informer[T]:
        return Informer(
            self._api,
            SECRETS,
            namespace=self._settings.operator_namespace,
            # One object by name: the right to read it can be given for that name alone (RBAC resourceNames).
            field_selector=f"metadata.name={name}",
            decode=decode,
            on_change=take,
            on_error=self._on_error(source),
        )

    def _on_error(self, source: str) -> Callable[[tuple[str, str], Exception], None]:
        def count(_key: tuple[str, str], _error: Exception) -> None:
            self._metrics.count_source_error(source)

        return count


class _Meta(KubeStruct, frozen=True, kw_only=True):
    namespace: str
    uid: str


class _ClientRef(KubeStruct, frozen=True, kw_only=True):
    name: str


class _ClientCertificateSpec(KubeStruct, frozen=True, kw_only=True):
    client_ref: _ClientRef
    revoked: bool = False


class _ClientCertificate(KubeStruct, frozen=True, kw_only=True):
    """No more of a ClientCertificate than is needed: one that cannot be read would end its certificates."""

    metadata: _Meta
    spec: _ClientCertificateSpec


class _Key(KubeStruct, frozen=True, kw_only=True):
    certificate: str
    intermediate: str = ""


class _SpentSpec(KubeStruct, frozen=True, kw_only=True):
    expires: Time


class _Spent(KubeStruct, frozen=True, kw_only=True):
    """No more of a SpentIdentifier than is needed: what a newer issuer spent for a new use is spent here, too."""

    spec: _SpentSpec


class _AuthorityStatus(KubeStruct, frozen=True, kw_only=True):
    keys: tuple[_Key, ...] = ()


class _AuthoritySpec(KubeStruct, frozen=True, kw_only=True):
    secret_ref: dict[str, Any] | None = None
    external: dict[str, Any] | None = None


class _Authority(KubeStruct, frozen=True, kw_only=True):
    """No more of a CertificateAuthority than is needed.

    Were the whole of it read, a role or a field of a newer operator could not be, and all trust would end with it.
    """

    spec: _AuthoritySpec = msgspec.field(default_factory=_AuthoritySpec)
    status: _AuthorityStatus = msgspec.field(default_factory=_AuthorityStatus)


def _view(name: str, informer: Informer[Any]) -> SourceView:
    return SourceView(
        name=name,
        connected=lambda: informer.connected,
        age=lambda: time.monotonic() - informer.last_event,
    )


def _decode_client_certificate(item: Object) -> Account:
    found = msgspec.convert(item, _ClientCertificate)
    meta, spec = found.metadata, found.spec
    return Account(meta.uid, meta.namespace, spec.client_ref.name, revoked=spec.revoked)


def _decode_lists(item: Object) -> tuple[str, tuple[RevocationList, ...]]:
    """The authority, and its CRLs."""
    pem = cast("Mapping[str, str]", item.get("data") or {}).get("crl.pem", "")
    return item["metadata"]["labels"]["mintls.dev/authority"], read_lists(pem.encode())


def _decode_authority(item: Object) -> TrustAnchors:
    """The keys that the authority's status shows, of every role: trusted before they sign, and until they retire."""
    authority = msgspec.convert(item, _Authority)
    keys = authority.status.keys
    return TrustAnchors(
        roots=_readable(key.certificate for key in keys),
        intermediates=_readable(key.intermediate for key in keys if key.intermediate),
        # Where the operator made the root it signs for objects only; another's CA signs for others, too.
        accountable=authority.spec.secret_ref is None and authority.spec.external is None,
    )


def _readable(pems: Any) -> tuple[x509.Certificate, ...]:
    """The certificates that can be read: one bad key must not take the others' clients away."""
    certificates: list[x509.Certificate] = []
    for pem in pems:
        try:
            certificates.extend(load_pem_chain(pem.encode()))
        except InvalidCertificate as error:
            logger.error("CertificateAuthority: a certificate in status.keys is left out: %s", error)  # noqa: TRY400 - the message says it all
    return tuple(certificates)


def _decode_signing_keys(item: Object) -> tuple[SigningKey, ...]:
    keys = decode_signing_keys(_value(item, "keys.json"))
    if not keys:
        raise SecretBroken("keys.json holds no key")
    return keys


def _decode_client_signing_keys(item: Object, broken: Callable[[str, Exception], None]) -> ClientSigningKeys:
    """A set that cannot be read is left out: it must not take the other clients' away."""
    files: dict[str, tuple[SigningKey, ...]] = {}
    for name in item.get("data") or {}:
        try:
            files[name] = decode_signing_keys(_value(item, name))
        except (SecretBroken, SigningKeysBroken) as error:
            broken(name, error)
    return sets_of_files(files)


def _decode_server_certificate(item: Object) -> ServerCertificate:
    chain, key = _value(item, "tls.crt"), _value(item, "tls.key")
    credential = check_credential(chain, key)
    return ServerCertificate(chain=chain, key=key, not_after=credential.leaf.not_after)


def _value(item: Object, key: str) -> bytes:
    data = cast("Mapping[str, str]", item.get("data") or {})
    if key not in data:
        raise SecretBroken(f"the Secret has no {key}")
    try:
        return base64.b64decode(data[key], validate=True)
    except binascii.Error:
        raise SecretBroken(f"{key} is not base64") from None
