"""ClientCertificate: gather, decide, write the Secret, report."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from mintls.api.v1alpha1 import CertificateAuthority, ClientCertificate
from mintls.controllers.certificateindex import CertificateIndex
from mintls.controllers.certificatesource import SourceError
from mintls.controllers.issuedcertificates import IssuedCertificates
from mintls.controllers.issuing import issue, kept_pair, make_keystores, secret_manifest
from mintls.controllers.keyring import Keyring
from mintls.controllers.keys import Key
from mintls.controllers.objects import ObjectStore
from mintls.controllers.passwordsecrets import PasswordSecrets
from mintls.controllers.refusals import violation_of
from mintls.controllers.reporting import Reporter
from mintls.controllers.scheduler import Clock
from mintls.controllers.secretviews import SecretViews, contents_of, view_of
from mintls.controllers.writer import Writer
from mintls.core.pki.certificate import CertificateFacts
from mintls.core.pki.errors import PKIError
from mintls.kube.client import FIELD_MANAGER, ApiClient
from mintls.kube.errors import AlreadyExists, ApiError, Conflict, Forbidden, NotFound
from mintls.kube.managedfields import handed_over, posted_fields, stated_fields
from mintls.kube.paths import CLIENT_CERTIFICATES, SECRETS
from mintls.reconcile.certificate.conclude import conclude, conclude_unread
from mintls.reconcile.certificate.decide import assess, decide, must_read, must_read_passwords
from mintls.reconcile.certificate.foreignwriter import after_repair
from mintls.reconcile.certificate.values import (
    Assessment,
    Blocked,
    Decision,
    Failed,
    Issue,
    Keep,
    Observed,
    Outcome,
    Repairs,
    Rewrite,
    Written,
)
from mintls.reconcile.clienttable import ClientTable
from mintls.reconcile.credential import CONTENTS_DIGEST, ROOT_KEY, AuthorityView, SecretView, Violation
from mintls.reconcile.installation import Installation
from mintls.reconcile.keystores import PASSWORDS_VERSION, password_secrets, version_used, wanted_keystores
from mintls.reconcile.reasons import Reason

logger = logging.getLogger(__name__)

type ObjectKey = tuple[str, str]
type Object = dict[str, Any]

_ROUNDS = 4
"""Gather and decide so often at most in one go, when somebody changes the Secret at the same moment."""


class Moved(Exception):  # noqa: N818 - not an error: what was observed is no longer so
    """Secret or object are not the ones that were observed: observe again."""


class CertificateController:
    """Reconciles ClientCertificates."""

    def __init__(
        self,
        *,
        api: ApiClient,
        writer: Writer,
        store: ObjectStore[ClientCertificate],
        authorities: ObjectStore[CertificateAuthority],
        reporter: Reporter[ClientCertificate],
        clients: ClientTable,
        keyring: Keyring,
        secrets: SecretViews,
        passwords: PasswordSecrets,
        index: CertificateIndex,
        installation: Installation,
        issuer_authority: str,
        labels: Mapping[tuple[str, str], Mapping[str, str]],
        issued: IssuedCertificates,
        on_written: Callable[[ClientCertificate], None],
        on_not_had: Callable[[str], None],
        clock: Clock,
    ) -> None:
        """Prepare; the arguments are the parts that it gathers from and writes through.

        ``issuer_authority`` names the authority of the issuer's own certificate: every client has to trust it.
        ``labels`` has those of each namespace, by "" and its name. ``issued`` remembers what was
        signed. ``on_written`` is told of each ClientCertificate
        whose Secret was written, ``on_not_had`` the name of an authority whose CA elsewhere did not sign.
        """
        self._api = api
        self._writer = writer
        self._store = store
        self._authorities = authorities
        self._reporter = reporter
        self._clients = clients
        self._keyring = keyring
        self._secrets = secrets
        self._passwords = passwords
        self._index = index
        self._installation = installation
        self._issuer_authority = issuer_authority
        self._labels = labels
        self._issued = issued
        self._on_written = on_written
        self._on_not_had = on_not_had
        self._clock = clock
        self._whole: dict[ObjectKey, str] = {}
        self._right_passwords: dict[ObjectKey, str] = {}
        self._repairs: dict[ObjectKey, Repairs] = {}

    async def reconcile(self, key: Key) -> datetime | None:
        """Look at one ClientCertificate.

        Returns:
            When to look again; ``None`` for when something changes.

        Raises:
            ApiError: The Secret could not be read, or the status not written.
        """
        for _ in range(_ROUNDS):
            certificate = self._store.get((key.namespace, key.name))
            if certificate is None or certificate.metadata.deletion_timestamp is not None:
                for known in (self._whole, self._right_passwords, self._repairs):
                    known.pop((key.namespace, key.name), None)
                return None
            if not self._authorities_are_known(certificate):
                return None  # at start: the authority's own reconciliation asks for this one again
            try:
                return await self._look(certificate)
            except Moved:
                await self._read_secret(certificate)
        return self._clock()

    def _authorities_are_known(self, certificate: ClientCertificate) -> bool:
        """Its own and the issuer's, as far as they exist: their roots go into ``ca.crt``."""
        names = (certificate.spec.authority_ref.name, self._issuer_authority)
        return all(self._keyring.view(name) or self._authorities.get(("", name)) is None for name in names)

    async def _look(self, certificate: ClientCertificate) -> datetime | None:
        try:
            seen, assessed = await self._gather(certificate)
        except Forbidden as error:
            await self._report_unread(certificate, error)
            raise
        decision = decide(seen, assessed)
        outcome = await self._carry_out(seen, decision)
        conclusion = conclude(seen, decision, outcome)
        await self._reporter.report(certificate, conclusion.status, conclusion.announcement)
        # Not before: a Secret that the status does not speak of yet has to be read, or it looks due again.
        self._remember(seen, decision, outcome)
        return conclusion.look_again

    async def _report_unread(self, certificate: ClientCertificate, error: Forbidden) -> None:
        """Say which right is missing; whoever asked for the look tries it again, with growing waits."""
        conclusion = conclude_unread(self._observed(certificate), violation_of(error, "the Secret was not read"))
        await self._reporter.report(certificate, conclusion.status, conclusion.announcement)

    # --- gather ---

    async def _gather(self, certificate: ClientCertificate) -> tuple[Observed, Assessment | Blocked]:
        seen = self._observed(certificate)
        assessed = assess(seen)
        if must_read(seen, assessed):
            seen = await self._read(seen)
            assessed = assess(seen)
        if must_read_passwords(seen, assessed):
            names = password_secrets(certificate.spec)
            seen = replace(seen, passwords=await self._passwords.read(certificate.metadata.namespace, names))
            assessed = assess(seen)
        return seen, assessed

    def _observed(self, certificate: ClientCertificate) -> Observed:
        key = (certificate.metadata.namespace, certificate.metadata.name)
        client = (certificate.metadata.namespace, certificate.spec.client_ref.name)
        standing = self._clients.standing(client)
        return Observed(
            certificate=certificate,
            registration=standing.registration,
            client_problem=standing.problem.message if standing.problem else "",
            contest=standing.contest,
            authority=self._authority(certificate),
            rival=self._rival(certificate),
            secret=self._secrets.get(_secret_key(certificate)),
            whole_version=self._whole.get(key) or certificate.status.secret_resource_version,
            contents=None,
            installation=self._installation,
            now=self._clock(),
            namespace_labels=self._labels.get(("", certificate.metadata.namespace), {}),
            repairs=self._repairs.get(key),
            password_versions=self._passwords.versions(certificate.metadata.namespace, certificate.spec),
            right_passwords=self._right_passwords.get(key, ""),
        )

    def _authority(self, certificate: ClientCertificate) -> AuthorityView | None:
        """The authority, with the roots that a client of it needs: its own and the issuer's."""
        name = certificate.spec.authority_ref.name
        view = self._keyring.view(name)
        secret = self._secrets.get(_secret_key(certificate))
        if view is not None and secret is not None:
            view = view.under(secret.annotations.get(ROOT_KEY, ""))
        if view is None or name == self._issuer_authority:
            return view
        return replace(view, bundle=self._keyring.bundle(name, self._issuer_authority))

    def _rival(self, certificate: ClientCertificate) -> str:
        """The earliest other ClientCertificate that writes to the same Secret, if it is earlier than this one."""
        rivals = (self._store.get(key) for key in self._index.of_secret(_secret_key(certificate)))
        first = min((rival for rival in rivals if rival is not None), key=_seniority, default=certificate)
        return "" if first.metadata.uid == certificate.metadata.uid else first.metadata.name

    async def _read(self, seen: Observed) -> Observed:
        body = await self._get_secret(seen.certificate)
        if body is None:
            return replace(seen, secret=None)
        view = view_of(body)
        self._secrets.wrote(_secret_key(seen.certificate), view)
        return replace(seen, secret=view, contents=contents_of(body))

    async def _read_secret(self, certificate: ClientCertificate) -> None:
        """Learn of a Secret that carries no label of ours, or that changed a moment ago."""
        body = await self._get_secret(certificate)
        if body is not None:
            self._secrets.wrote(_secret_key(certificate), view_of(body))

    async def _get_secret(self, certificate: ClientCertificate) -> Object | None:
        try:
            return await self._api.get(SECRETS.item(*_secret_key(certificate)))
        except NotFound:
            self._secrets.missing(_secret_key(certificate))
            return None

    # --- write ---

    async def _carry_out(self, seen: Observed, decision: Decision) -> Outcome:
        try:
            match decision:
                case Issue():
                    return await self._issue(seen, decision)
                case Rewrite():
                    return await self._rewrite(seen, decision)
                case _:
                    return None
        except (AlreadyExists, Conflict) as conflict:
            raise Moved from conflict
        except NotFound as error:
            # Secret or namespace went away between observation and write.
            if seen.secret is not None:
                raise Moved from error
            return Failed(violation_of(error, "the Secret was not written"))
        except ApiError as error:
            return Failed(violation_of(error, "the Secret was not written"))
        except PKIError as refused:
            return Failed(Violation(Reason.ISSUING_FAILED, f"no certificate was signed: {refused}"))

    async def _issue(self, seen: Observed, order: Issue) -> Outcome:
        source = self._keyring.source(order.wanted.authority.name)
        if source is None:
            problem = f'CertificateAuthority "{order.wanted.authority.name}" cannot sign at present'
            return Failed(Violation(Reason.AUTHORITY_NOT_READY, problem))
        if order.secret is None and order.revision > 1:
            await self._confirm(seen.certificate)
        try:
            pair = await issue(
                order.wanted,
                order.not_before,
                order.not_after,
                source,
                kept_key=order.kept_key,
                request=seen.certificate.spec.request or "",
            )
        except SourceError as error:
            return self._not_had(order, error)
        # Before anybody can have it: so it is known to have been issued, whatever becomes of the object.
        self._issued.issued(order.wanted.authority.name, seen.certificate.metadata.uid, pair.leaf.certificate)
        manifest = await self._manifest(seen, order, pair.files, pair.root_key)
        if order.secret is None:
            body = await self._writer.create(SECRETS.collection(seen.certificate.metadata.namespace), manifest)
        else:
            body = await self._apply(seen, order.secret, manifest)
        return self._written(seen, body, pair.leaf, pair.tls_crt)

    async def _confirm(self, certificate: ClientCertificate) -> None:
        """See that the object of a Secret that is gone is still there.

        The garbage collector may take the Secret before a watch tells of its owner's end.
        """
        meta = certificate.metadata
        path = CLIENT_CERTIFICATES.collection(meta.namespace)
        # A list of one needs no right that the watch does not need as well.
        pages = self._api.list_pages(path, field_selector=f"metadata.name={meta.name}")
        if meta.uid not in [item["metadata"]["uid"] async for page in pages for item in page["items"]]:
            self._store.gone((meta.namespace, meta.name), meta.uid)
            raise Moved

    def _not_had(self, order: Issue, error: SourceError) -> Failed:
        # It is seen whether it can be asked at all, before each of its certificates waits for it in vain.
        self._on_not_had(order.wanted.authority.name)
        violation = error.violation
        return Failed(Violation(violation.reason, f"no certificate was had: {violation.message}"))

    async def _rewrite(self, seen: Observed, order: Rewrite) -> Outcome:
        manifest = await self._manifest(seen, order, kept_pair(order.contents, order.wanted))
        return self._written(
            seen, await self._apply(seen, order.secret, manifest), order.credential.leaf, order.contents.data["tls.crt"]
        )

    async def _apply(self, seen: Observed, secret: SecretView, manifest: Object) -> Object:
        """Replace what is ours in the very Secret that was observed."""
        version = secret.resource_version
        if secret.posted and _something_goes(secret, manifest["metadata"]["annotations"]):
            version = await self._hand_over(seen, secret, manifest)
        metadata = {**manifest["metadata"], "uid": secret.uid, "resourceVersion": version}
        return await self._writer.apply(
            SECRETS.item(*_secret_key(seen.certificate)), {**manifest, "metadata": metadata}
        )

    async def _hand_over(self, seen: Observed, secret: SecretView, manifest: Object) -> str:
        """Make ours by apply what is ours by the POST that created the Secret, if the manifest lacks any of it.

        Without this a label that was taken out of the spec would stay. It costs a write, so it is done when something
        goes for the first time, not with the first renewal of every Secret.

        Returns:
            The Secret's version after that.
        """
        path = SECRETS.item(*_secret_key(seen.certificate))
        metadata = (await self._api.get(path))["metadata"]
        if metadata["resourceVersion"] != secret.resource_version:
            raise Moved
        entries = metadata.get("managedFields") or []
        if posted_fields(entries, FIELD_MANAGER) <= stated_fields(manifest):
            return secret.resource_version
        identity = {"uid": secret.uid, "resourceVersion": secret.resource_version}
        patch = {"metadata": {**identity, "managedFields": handed_over(entries, FIELD_MANAGER)}}
        body = await self._writer.merge_patch(path, patch)
        return str(body["metadata"]["resourceVersion"])

    async def _manifest(
        self, seen: Observed, order: Issue | Rewrite, pair: dict[str, bytes], root_key: str = ""
    ) -> Object:
        meta = seen.certificate.metadata
        return secret_manifest(
            namespace=meta.namespace,
            name=seen.certificate.spec.secret_name,
            component="client-certificate",
            pair=pair,
            wanted=order.wanted,
            revision=order.revision,
            root_key=root_key or _root_key(order),
            keystores=await make_keystores(order.wanted, pair, seen.passwords),
            owner={
                "apiVersion": CLIENT_CERTIFICATES.api_version,
                "kind": CLIENT_CERTIFICATES.kind,
                "name": meta.name,
                "uid": meta.uid,
                "controller": True,
                "blockOwnerDeletion": False,
            },
        )

    def _written(self, seen: Observed, body: Object, leaf: CertificateFacts, chain: bytes) -> Written:
        view = view_of(body)
        self._secrets.wrote(_secret_key(seen.certificate), view)
        return Written(leaf, view.resource_version, chain)

    def _remember(self, seen: Observed, decision: Decision, outcome: Outcome) -> None:
        if isinstance(outcome, Written) or (isinstance(decision, Keep) and seen.passwords is not None):
            self._remember_passwords(seen)
        if isinstance(outcome, Written):
            self._remember_whole(seen, outcome.resource_version)
            repairs = after_repair(seen)
            if repairs is not None:
                self._repairs[_key(seen)] = repairs
            self._on_written(seen.certificate)
        elif isinstance(decision, Keep):
            self._remember_whole(seen, decision.secret.resource_version)
        elif isinstance(decision, Blocked):
            self._whole.pop(_key(seen), None)

    def _remember_whole(self, seen: Observed, version: str) -> None:
        """The Secret's version that was found whole, unless the status says the same by now."""
        known = self._store.get(_key(seen))
        if known is not None and known.status.secret_resource_version == version:
            self._whole.pop(_key(seen), None)
        else:
            self._whole[_key(seen)] = version

    def _remember_passwords(self, seen: Observed) -> None:
        keystores = wanted_keystores(seen.certificate.spec)
        if keystores:
            self._right_passwords[_key(seen)] = version_used(keystores, seen.passwords or {})
        else:
            self._right_passwords.pop(_key(seen), None)


def _key(seen: Observed) -> ObjectKey:
    return (seen.certificate.metadata.namespace, seen.certificate.metadata.name)


def _secret_key(certificate: ClientCertificate) -> ObjectKey:
    return (certificate.metadata.namespace, certificate.spec.secret_name)


def _something_goes(secret: SecretView, annotations: Mapping[str, str]) -> bool:
    """Whether the Secret may have what is ours and is wanted no more, or a keystore that cannot be made any more."""
    if secret.annotations.get(CONTENTS_DIGEST) != annotations[CONTENTS_DIGEST]:
        return True
    return PASSWORDS_VERSION in secret.annotations and PASSWORDS_VERSION not in annotations


def _root_key(order: Issue | Rewrite) -> str:
    """Of the certificate: one that is kept may be of the root before."""
    retiring = order.wanted.authority.retiring
    of_root_before = isinstance(order, Rewrite) and order.reissue is not None and retiring is not None
    return retiring.fingerprint if retiring and of_root_before else order.wanted.authority.fingerprint


def _seniority(certificate: ClientCertificate) -> tuple[float, str]:
    created = certificate.metadata.creation_timestamp
    return (created.timestamp() if created else 0.0, certificate.metadata.uid)
