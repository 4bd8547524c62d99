"""The operator's parts, put together. Nothing is asked of the Kubernetes API here."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from mintls.api.v1alpha1 import CertificateAuthority, ClientCertificate, OAuthClient
from mintls.controllers import clientsigningkeys, publishedlists, signingkeys
from mintls.controllers.authorities import AuthorityController
from mintls.controllers.bundlelacks import AuthorityReporter, BundleLacks, BundleReportController
from mintls.controllers.certificateindex import CertificateIndex
from mintls.controllers.certificates import CertificateController
from mintls.controllers.clients import ClientController
from mintls.controllers.clientsigningkeys import ClientSigningKeysController
from mintls.controllers.clustertrustbundle import ClusterTrustBundleController
from mintls.controllers.externalauthorities import ExternalAuthorities
from mintls.controllers.externalways import Ways
from mintls.controllers.issuedcertificates import IssuedCertificates
from mintls.controllers.issuedrecord import IssuedRecordController
from mintls.controllers.issuers import Endpoints, EndpointSlices, IssuerReplicas, StaticEndpoints
from mintls.controllers.keyring import Keyring
from mintls.controllers.keys import Key, Kind
from mintls.controllers.objects import ObjectKey, ObjectStore
from mintls.controllers.passwordsecrets import PasswordSecrets
from mintls.controllers.podrestarts import PodRestartController
from mintls.controllers.publishing import Publishing
from mintls.controllers.queue import ReconcileQueue
from mintls.controllers.reporting import Reporter
from mintls.controllers.revocationlists import RevocationListController
from mintls.controllers.rootreach import RootReach
from mintls.controllers.scheduler import Clock
from mintls.controllers.secretviews import SecretKey, SecretViews
from mintls.controllers.servercertificate import ServerCertificateController
from mintls.controllers.servicerequests import (
    PodCertificateController,
    ServiceRequestController,
    SigningRequestController,
)
from mintls.controllers.settings import OperatorSettings
from mintls.controllers.signingkeys import SigningKeysController
from mintls.controllers.signingsecret import SigningSecret
from mintls.controllers.suppliedauthorities import SuppliedAuthorities
from mintls.controllers.triggers import Triggers
from mintls.controllers.trustbundles import NamespaceUse, TrustBundleController
from mintls.controllers.watches import Watches
from mintls.controllers.writer import Writer
from mintls.kube.client import ApiClient
from mintls.kube.events import EventRecorder
from mintls.kube.informer import Change, Informer
from mintls.reconcile.clientsigningkeys import wanted
from mintls.reconcile.clienttable import ClientTable
from mintls.reconcile.conditions import holds


class Assembly:
    """All parts of one operator.

    Attributes:
        queue: Keys that have to be looked at.
        triggers: Fills it.
        clients: Store of OAuthClients.
        certificates: Store of ClientCertificates.
        authorities: Store of CertificateAuthorities.
        watches: Those that are not kopf's.
        passwords: Secrets with passwords of keystores.
        replicas: The issuer's replicas.
        bundles: Keeps the trust bundles.
        lacks: Namespaces without one.
        external: Authorities whose CA is elsewhere.
        issued: What was issued for which object; the Lease's memo.
        published: The CRLs of each authority.
    """

    def __init__(self, settings: OperatorSettings, api: ApiClient, writer: Writer, clock: Clock) -> None:
        """Put together.

        Args:
            settings: What the operator is told.
            api: Reads.
            writer: Writes, while this process leads.
            clock: The time, aware UTC.
        """
        self._settings = settings
        self._api, self._writer, self._clock = api, writer, clock
        self._recorder = EventRecorder(api, host=settings.identity)
        self._keyring = Keyring()
        self._table = ClientTable(settings.installation, self._client_of)
        self._index = CertificateIndex(lambda: self.certificates)
        self._use = NamespaceUse()
        self.queue = ReconcileQueue()
        self.issued = IssuedCertificates(self._record_due, self._is_elsewhere)
        self.published = publishedlists.PublishedLists(self.issued, self._lists_due)
        self.triggers = Triggers(
            queue=self.queue,
            clients=self._table,
            certificates=self._index,
            use=self._use,
            issued=self.issued,
            bundle_namespaces=self._bundle_namespaces,
            passwords_used=self._passwords_used,
            namespace=settings.installation.operator_namespace,
            authority=settings.authority,
        )
        self.passwords = PasswordSecrets(
            api,
            used=lambda secret: bool(self._index.of_password(secret)),
            on_change=self.triggers.password_changed,
        )
        self.clients = ObjectStore(OAuthClient, self.triggers.client_changed)
        self.certificates = ObjectStore(ClientCertificate, self.triggers.certificate_changed)
        self.authorities = ObjectStore(CertificateAuthority, self.triggers.authority_changed)
        self.lacks = BundleLacks(self.triggers.bundles_reported)
        self._secrets = SecretViews(self.triggers.secret_changed)
        self.watches = Watches(
            api,
            settings,
            self.triggers,
            secrets=self._secrets,
            on_namespace=self._namespace_changed,
            published=self.published,
            on_replicas=lambda: self.triggers.replicas_changed(self._unregistered()),
        )
        self.replicas = IssuerReplicas(self._endpoints(), settings.installation.mtls_url)
        self.bundles = self._bundle_controller()
        self.external = self._external_authorities()

    def reconcilers(self) -> dict[Kind, Callable[[Key], Awaitable[datetime | None]]]:
        """What looks at an object of each kind."""
        return {
            Kind.AUTHORITY: self._authority_controller().reconcile,
            Kind.CLIENT: self._client_controller().reconcile,
            Kind.CERTIFICATE: self._certificate_controller().reconcile,
            Kind.CLUSTER_TRUST_BUNDLE: ClusterTrustBundleController(
                writer=self._writer, bundles=self.watches.cluster_bundles.store, keyring=self._keyring
            ).reconcile,
            Kind.POD_CERTIFICATE_REQUEST: self._requests(
                PodCertificateController, self.watches.pod_certificate_requests
            ).reconcile,
            Kind.SIGNING_REQUEST: self._requests(SigningRequestController, self.watches.signing_requests).reconcile,
            Kind.REVOCATION_LIST: self._list_controller().reconcile,
            Kind.ISSUED_RECORD: IssuedRecordController(
                publishing=self._publishing(), published=self.published, issued=self.issued, clock=self._clock
            ).reconcile,
            Kind.POD_RESTART: self._pod_restart_controller().reconcile,
            Kind.TRUST_BUNDLE: self.bundles.reconcile,
            Kind.BUNDLE_REPORT: BundleReportController(
                authorities=self.authorities,
                lacks=self.bundles.lacking,
                on_stale=self.triggers.authority_told,
                clock=self._clock,
            ).reconcile,
            Kind.SIGNING_KEYS: self._signing_keys_controller().reconcile,
            Kind.CLIENT_SIGNING_KEYS: self._client_signing_keys_controller().reconcile,
            Kind.SERVER_CERTIFICATE: self._server_certificate_controller().reconcile,
        }

    def _client_of(self, key: ObjectKey) -> OAuthClient | None:
        return self.clients.get(key)  # it follows the table, which comes before it

    def _bundle_namespaces(self) -> frozenset[str]:
        return self.bundles.namespaces()

    def _namespace_changed(self, change: Change[Mapping[str, str]]) -> None:
        if change.new is None:
            self.lacks.saw(change.key[1], None)
        self.triggers.namespace_changed(change)

    def _authority_reporter(self) -> AuthorityReporter:
        return AuthorityReporter(
            self.authorities, self._writer, self._recorder, self._clock, lacks=self.bundles.lacking
        )

    def _passwords_used(self, secrets: Iterable[SecretKey]) -> None:
        self.passwords.follow(secrets)

    def _lists_due(self, authority: str) -> None:
        self.triggers.lists_of((authority,))

    def _record_due(self, authority: str) -> None:
        self.triggers.record_due(authority)

    def _is_elsewhere(self, authority: str) -> bool:
        found = self.authorities.get(("", authority))
        return found is not None and found.spec.external is not None

    def _list_controller(self) -> RevocationListController:
        return RevocationListController(
            publishing=self._publishing(),
            published=self.published,
            issued=self.issued,
            certificates=self.certificates,
            keyring=self._keyring,
            clock=self._clock,
        )

    def _publishing(self) -> Publishing:
        return Publishing(
            writer=self._writer,
            published=self.published,
            authorities=self.authorities,
            reporter=Reporter(self.authorities, self._writer, self._recorder, self._clock),
            namespace=self._settings.installation.operator_namespace,
        )

    def _unregistered(self) -> list[tuple[str, str]]:
        return [
            (client.metadata.namespace, client.metadata.name)
            for client in self.clients
            if not holds(client.status.conditions, "Registered")
        ]

    def _endpoints(self) -> Endpoints:
        slices = self.watches.slices
        if slices is None:
            return StaticEndpoints(self._settings.issuer_replicas)
        return EndpointSlices(lambda: slices.store, self._settings.issuer_port_name)

    def _external_authorities(self) -> ExternalAuthorities:
        namespace = self._settings.installation.operator_namespace
        return ExternalAuthorities(
            make_way=Ways(self._api, self._writer, namespace, self._clock).make,
            reporter=self._authority_reporter(),
            keyring=self._keyring,
            issuer_authority=self._settings.authority,
            clock=self._clock,
            on_change=self.triggers.authority_keys_changed,
        )

    def _authority_controller(self) -> AuthorityController:
        reporter = self._authority_reporter()
        roots = RootReach(
            certificates=self.certificates,
            index=self._index,
            secrets=self._secrets,
            keyring=self._keyring,
            bundles_behind=self.bundles.behind,
            replicas=self.replicas,
            issuer_authority=self._settings.authority,
            clock=self._clock,
        )
        return AuthorityController(
            api=self._api,
            writer=self._writer,
            store=self.authorities,
            reporter=reporter,
            keyring=self._keyring,
            roots=roots,
            supplied=SuppliedAuthorities(
                api=self._api,
                reporter=reporter,
                keyring=self._keyring,
                leaves=roots,
                namespace=self._settings.installation.operator_namespace,
                clock=self._clock,
                on_change=self.triggers.authority_keys_changed,
            ),
            external=self.external,
            namespace=self._settings.installation.operator_namespace,
            clock=self._clock,
            on_change=self.triggers.authority_keys_changed,
        )

    def _client_controller(self) -> ClientController:
        return ClientController(
            store=self.clients,
            authorities=self.authorities,
            reporter=Reporter(self.clients, self._writer, self._recorder, self._clock),
            table=self._table,
            replicas=self.replicas,
            installation=self._settings.installation,
            clock=self._clock,
            algorithm=self._settings.signing_algorithm,
        )

    def _certificate_controller(self) -> CertificateController:
        return CertificateController(
            api=self._api,
            writer=self._writer,
            store=self.certificates,
            authorities=self.authorities,
            reporter=Reporter(self.certificates, self._writer, self._recorder, self._clock),
            clients=self._table,
            keyring=self._keyring,
            secrets=self._secrets,
            passwords=self.passwords,
            index=self._index,
            installation=self._settings.installation,
            issuer_authority=self._settings.authority,
            labels=self.watches.namespaces.store,
            issued=self.issued,
            on_written=self.triggers.credential_written,
            on_not_had=self.triggers.certificate_not_had,
            clock=self._clock,
        )

    def _requests(
        self, controller: type[ServiceRequestController], informer: Informer[dict[str, Any]]
    ) -> ServiceRequestController:
        return controller(
            writer=self._writer,
            recorder=self._recorder,
            requests=informer.store,
            clients=self._table,
            keyring=self._keyring,
            installation=self._settings.installation,
            clock=self._clock,
        )

    def _pod_restart_controller(self) -> PodRestartController:
        return PodRestartController(
            api=self._api,
            writer=self._writer,
            store=self.certificates,
            reporter=Reporter(self.certificates, self._writer, self._recorder, self._clock),
            secrets=self._secrets,
            clock=self._clock,
        )

    def _bundle_controller(self) -> TrustBundleController:
        return TrustBundleController(
            writer=self._writer,
            bundles=self.watches.bundles.store,
            use=self._use,
            labels=self.watches.namespaces.store,
            keyring=self._keyring,
            lacks=self.lacks,
            namespace=self._settings.installation.operator_namespace,
        )

    def _signing_keys_controller(self) -> SigningKeysController:
        secret = self._signing_secret(signingkeys.NAME, signingkeys.COMPONENT)
        return SigningKeysController(secret=secret, clock=self._clock, algorithm=self._settings.signing_algorithm)

    def _client_signing_keys_controller(self) -> ClientSigningKeysController:
        name, namespace = clientsigningkeys.NAME, self._settings.installation.operator_namespace
        return ClientSigningKeysController(
            secret=self._signing_secret(name, clientsigningkeys.COMPONENT),
            wanted=lambda: wanted(
                self._table.asking_for_keys, self.clients.uids().values(), self._settings.signing_algorithm
            ),
            is_there=lambda: self._secrets.get((namespace, name)) is not None,
            clock=self._clock,
        )

    def _signing_secret(self, name: str, component: str) -> SigningSecret:
        namespace = self._settings.installation.operator_namespace
        return SigningSecret(api=self._api, writer=self._writer, namespace=namespace, name=name, component=component)

    def _server_certificate_controller(self) -> ServerCertificateController:
        return ServerCertificateController(
            api=self._api,
            writer=self._writer,
            keyring=self._keyring,
            replicas=self.replicas,
            installation=self._settings.installation,
            authority=self._settings.authority,
            clock=self._clock,
        )
