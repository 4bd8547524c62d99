"""CertificateAuthority: read its Secrets, create what is missing, keep the keys in memory, say how it is."""

import asyncio
import base64
import contextlib
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from cryptography import x509

from mintls.api.v1alpha1 import CertificateAuthority
from mintls.controllers.entropy import new_key, new_serial
from mintls.controllers.externalauthorities import ExternalAuthorities
from mintls.controllers.keyring import Keyring, ListSigners, recorded_root
from mintls.controllers.keys import Key
from mintls.controllers.objects import ObjectStore
from mintls.controllers.refusals import violation_of
from mintls.controllers.reporting import Reporter
from mintls.controllers.scheduler import Clock
from mintls.controllers.secretviews import contents_of, view_of
from mintls.controllers.suppliedauthorities import SuppliedAuthorities
from mintls.controllers.writer import Writer
from mintls.core.pki.certificate import InvalidCertificate, encode_pem, key_fingerprint, load_pem_chain
from mintls.core.pki.errors import PKIError
from mintls.core.pki.keys import PrivateKey, encode_private_key, load_private_key
from mintls.core.pki.profiles import IntermediateProfile, RootProfile
from mintls.core.pki.signing import CertificateAuthorityKey, sign_intermediate, sign_root
from mintls.kube.client import ApiClient
from mintls.kube.errors import AlreadyExists, ApiError, Conflict, NotFound
from mintls.kube.paths import SECRETS
from mintls.reconcile import certificateauthority as decisions
from mintls.reconcile import rootrotation
from mintls.reconcile.announcement import Announcement
from mintls.reconcile.certificateauthority import (
    Blocked,
    CreateIntermediate,
    CreateRoot,
    Decision,
    DropNextRoot,
    Keep,
    KeySecret,
    Observed,
    RetireRoot,
    SwitchRoot,
    Write,
)
from mintls.reconcile.credential import Violation
from mintls.reconcile.reasons import Reason
from mintls.reconcile.revocationlist import Signer
from mintls.reconcile.rootrotation import NO_LEAVES, Leaves, Reach

logger = logging.getLogger(__name__)

_ROUNDS = 6
"""Observe and decide so often at most: a switch has three writes; the rest is for somebody in between."""


class RootObserver(Protocol):
    """Knows how far a next root has come."""

    def leaves(self, authority: str, fingerprint: str) -> Leaves:
        """The leaves of an authority, whose active root has the key of that fingerprint."""

    async def reach(self, authority: str, fingerprint: str) -> Reach:
        """How far the next root, with the key of that fingerprint, has come."""


class AuthorityController:
    """Reconciles CertificateAuthorities."""

    def __init__(
        self,
        *,
        api: ApiClient,
        writer: Writer,
        store: ObjectStore[CertificateAuthority],
        reporter: Reporter[CertificateAuthority],
        keyring: Keyring,
        roots: RootObserver,
        supplied: SuppliedAuthorities,
        external: ExternalAuthorities,
        namespace: str,
        clock: Clock,
        on_change: Callable[[str], None],
    ) -> None:
        """Prepare.

        Args:
            api: Reads Secrets.
            writer: Writes them.
            store: The CertificateAuthorities.
            reporter: Writes status and events.
            keyring: Receives the keys.
            roots: Knows how far a next root has come.
            supplied: Reconciles those whose CA is in somebody else's Secret.
            external: Reconciles those whose CA is elsewhere.
            namespace: The operator's namespace.
            clock: The time.
            on_change: Told the name of an authority whose keys or limits changed.
        """
        self._api = api
        self._writer = writer
        self._store = store
        self._reporter = reporter
        self._keyring = keyring
        self._roots = roots
        self._supplied = supplied
        self._external = external
        self._namespace = namespace
        self._clock = clock
        self._on_change = on_change
        self._failures: dict[str, int] = {}

    async def reconcile(self, key: Key) -> datetime | None:
        """Look at one authority.

        Returns:
            When to look again; ``None`` for never.

        Raises:
            ApiError: A Secret could not be read, or the status not written.
        """
        authority = self._store.get(("", key.name))
        if authority is None or authority.spec.external is None:
            await self._external.forget(key.name)
        if authority is None:
            if self._keyring.remove(key.name):
                self._on_change(key.name)
            return None
        if authority.spec.external is not None:
            return await self._external.reconcile(authority)
        if authority.spec.secret_ref is not None:
            return await self._supplied.reconcile(authority, authority.spec.secret_ref.name)
        for _ in range(_ROUNDS):
            seen = await self._observe_or_block(authority)
            decision = decisions.decide(seen)
            if isinstance(decision, Blocked | Keep):
                return await self._settle(seen, decision)
            failure = await self._carry_out(seen, decision)
            if failure is not None:
                return await self._fail(seen, decision, failure)
        return self._clock()

    async def _observe_or_block(self, authority: CertificateAuthority) -> Observed:
        try:
            return await self._observe(authority)
        except ApiError as error:
            self._block_unless_known(authority, f"its Secrets could not be read: {error}")
            raise

    def _block_unless_known(self, authority: CertificateAuthority, problem: str) -> None:
        """Before the authority is known its objects wait, and the bundle lacks its root: both have to be told of it."""
        name = authority.metadata.name
        if self._keyring.view(name) is None and self._keyring.block(authority, problem, recorded_root(authority)):
            self._on_change(name)

    async def _observe(self, authority: CertificateAuthority) -> Observed:
        prefix = f"mintls-authority-{authority.metadata.name}"
        names = (f"{prefix}-root", f"{prefix}-intermediate", f"{prefix}-root-next")
        root, intermediate, following = await asyncio.gather(*map(self._read, names))
        return Observed(
            authority=authority,
            root=root,
            intermediate=intermediate,
            root_name=names[0],
            namespace=self._namespace,
            now=self._clock(),
            next=following,
            reach=await self._reach(authority) if following else None,
            leaves=self._leaves(authority, root),
        )

    async def _reach(self, authority: CertificateAuthority) -> Reach | None:
        """Nobody can have it before it was handed to those who write it."""
        view = self._keyring.view(authority.metadata.name)
        if view is None or view.next_root is None:
            return None
        return await self._roots.reach(authority.metadata.name, key_fingerprint(view.next_root))

    def _leaves(self, authority: CertificateAuthority, root: KeySecret | None) -> Leaves:
        if root is None:
            return NO_LEAVES
        try:
            active = load_pem_chain(root.contents.data.get("tls.crt", b""))[0]
        except InvalidCertificate:
            return NO_LEAVES  # nothing is decided about leaves before the root is in order
        return self._roots.leaves(authority.metadata.name, key_fingerprint(active))

    async def _read(self, name: str) -> KeySecret | None:
        try:
            body = await self._api.get(SECRETS.item(self._namespace, name))
        except NotFound:
            return None
        return KeySecret(name, view_of(body), contents_of(body))

    async def _carry_out(self, seen: Observed, decision: Write) -> Violation | None:
        try:
            announcement = await self._write(seen, decision)
        except (AlreadyExists, Conflict):
            return None  # somebody was faster: observe and decide again
        except ApiError as error:
            return violation_of(error, "a Secret of the authority was not written")
        except PKIError as refused:
            return Violation(Reason.ISSUING_FAILED, f"no CA certificate was signed: {refused}")
        if announcement is not None:
            await self._reporter.announce(seen.authority, announcement)
        return None

    async def _write(self, seen: Observed, decision: Write) -> Announcement | None:
        match decision:
            case CreateRoot():
                return await self._create_root(seen, decision)
            case CreateIntermediate():
                return await self._create_intermediate(seen, decision)
            case DropNextRoot():
                return await self._drop_next_root(decision)
            case SwitchRoot():
                return await self._switch_root(seen, decision)
            case RetireRoot():
                return await self._retire_root(seen, decision)

    async def _create_root(self, seen: Observed, order: CreateRoot) -> Announcement:
        key = await asyncio.to_thread(new_key, order.key)
        profile = RootProfile(order.common_name, order.not_before, order.not_after)
        certificate = sign_root(profile, key, new_serial())
        name = seen.next_name if order.why else seen.root_name
        body = self._secret(seen, name, (certificate,), key, certificate)
        await self._writer.create(SECRETS.collection(self._namespace), body)
        if order.why:
            message = (
                f'made root "{order.common_name}", because {order.why}: it is made known to everybody, and signs when '
                "it is known; the annotation mintls.dev/hold-root-rotation undoes it until then"
            )
            return Announcement(warning=False, reason=Reason.ROOT_ROTATION_BEGUN, message=message)
        return Announcement(
            warning=False,
            reason=Reason.ROOT_CREATED,
            message=f'made root "{order.common_name}" in Secret {self._namespace}/{seen.root_name}: '
            "keep a backup of it, it is never replaced but by a root rotation",
        )

    async def _drop_next_root(self, order: DropNextRoot) -> Announcement | None:
        view = order.secret.view
        path = SECRETS.item(self._namespace, order.secret.name)
        with contextlib.suppress(NotFound):
            await self._writer.delete(path, uid=view.uid, resource_version=view.resource_version)
        if not order.aborted:
            return None
        message = "the next root is gone; it signed nothing, and the root is the one that it was"
        return Announcement(warning=False, reason=Reason.ROOT_ROTATION_ABORTED, message=message)

    async def _switch_root(self, seen: Observed, order: SwitchRoot) -> Announcement:
        """In one write: the new root's key comes, the old root's goes, and its certificate stays."""
        files = {name: order.next.contents.data[name] for name in ("tls.crt", "tls.key", "ca.crt")}
        files[rootrotation.RETIRING_FILE] = encode_pem(order.order.retiring)
        annotations = {
            rootrotation.SWITCHED: _rfc3339(order.order.switched),
            rootrotation.RETIRE: _rfc3339(order.order.retire),
        }
        await self._replace_root(seen, order.root, files, annotations)
        return Announcement(
            warning=False,
            reason=Reason.ROOT_SWITCHED,
            message=f"another root signs now, in Secret {self._namespace}/{seen.root_name}: back it up, for a backup "
            f"of the root before is of no use any more. That one is trusted until {_rfc3339(order.order.retire)}",
        )

    async def _retire_root(self, seen: Observed, order: RetireRoot) -> Announcement:
        files = {name: order.root.contents.data[name] for name in ("tls.crt", "tls.key", "ca.crt")}
        await self._replace_root(seen, order.root, files, {})
        message = "the root before is trusted no more: the last certificate that it vouched for has ended"
        return Announcement(warning=False, reason=Reason.ROOT_RETIRED, message=message)

    async def _replace_root(
        self, seen: Observed, root: KeySecret, files: Mapping[str, bytes], annotations: Mapping[str, str]
    ) -> None:
        """Write the root's Secret whole, unless somebody changed it meanwhile."""
        metadata = {
            "name": root.name,
            "namespace": self._namespace,
            "labels": {**root.view.labels, **decisions.secret_labels(seen.authority.metadata.name)},
            "annotations": {**_without_ours(root.view.annotations), **annotations},
            "uid": root.view.uid,
            "resourceVersion": root.view.resource_version,
        }
        data = {name: base64.b64encode(content).decode() for name, content in files.items()}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "kubernetes.io/tls", "data": data}
        await self._writer.replace(SECRETS.item(self._namespace, root.name), body)

    async def _create_intermediate(self, seen: Observed, order: CreateIntermediate) -> Announcement:
        if seen.root is None:
            raise AssertionError("an intermediate is ordered of a root that was read")
        root = CertificateAuthorityKey(
            order.root.leaf.certificate, load_private_key(seen.root.contents.data["tls.key"])
        )
        key = await asyncio.to_thread(new_key, order.key)
        profile = IntermediateProfile(order.common_name, order.not_before, order.not_after)
        certificate = sign_intermediate(profile, key.public_key(), root, new_serial())
        name = seen.intermediate_name
        body = self._secret(seen, name, (certificate,), key, root.certificate)
        body["stringData"] |= {file: pem.decode() for one in order.former for file, pem in one.files.items()}
        if order.replaced is None:
            await self._writer.create(SECRETS.collection(self._namespace), body)
        else:
            body["metadata"] |= {"uid": order.replaced.uid, "resourceVersion": order.replaced.resource_version}
            await self._writer.replace(SECRETS.item(self._namespace, name), body)
        return Announcement(
            warning=False,
            reason=Reason.INTERMEDIATE_CREATED,
            message=f'made intermediate "{order.common_name}", valid until {order.not_after:%Y-%m-%dT%H:%M:%SZ}',
        )

    def _secret(
        self,
        seen: Observed,
        name: str,
        chain: tuple[x509.Certificate, ...],
        key: PrivateKey,
        root: x509.Certificate,
    ) -> dict[str, Any]:
        """A Secret without an owner: the key outlives its object, and ``helm uninstall``."""
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": name,
                "namespace": self._namespace,
                "labels": decisions.secret_labels(seen.authority.metadata.name),
            },
            "type": "kubernetes.io/tls",
            "stringData": {
                "tls.crt": encode_pem(*chain).decode(),
                "tls.key": encode_private_key(key).decode(),
                "ca.crt": encode_pem(root).decode(),
            },
        }

    async def _settle(self, seen: Observed, decision: Blocked | Keep) -> datetime | None:
        self._failures.pop(seen.authority.metadata.name, None)
        changed = self._remember(seen, decision)
        conclusion = decisions.conclude(seen, decision)
        try:
            await self._reporter.report(seen.authority, conclusion.status, conclusion.announcement)
        finally:
            # Whatever became of the status: the next look finds the keys unchanged, and would tell nobody.
            if changed:
                self._on_change(seen.authority.metadata.name)
        return conclusion.look_again

    def _remember(self, seen: Observed, decision: Decision) -> bool:
        if not isinstance(decision, Keep) or seen.intermediate is None:
            problem = decision.violation.message if isinstance(decision, Blocked) else ""
            return self._keyring.block(seen.authority, problem, recorded_root(seen.authority))
        signer = CertificateAuthorityKey(
            decision.intermediate.leaf.certificate,
            load_private_key(seen.intermediate.contents.data["tls.key"]),
            (decision.intermediate.leaf.certificate,),
        )
        return self._keyring.put(
            seen.authority,
            decision.root.leaf.certificate,
            signer,
            next_root=decision.roots.next,
            retiring=decision.roots.retiring,
            list_signers=_list_signers(seen, decision, signer),
        )

    async def _fail(self, seen: Observed, decision: Write, violation: Violation) -> datetime | None:
        name = seen.authority.metadata.name
        attempt = self._failures.get(name, 0)
        self._failures[name] = attempt + 1
        current = decision.current if isinstance(decision, CreateIntermediate) else None
        if current is None:
            self._block_unless_known(seen.authority, violation.message)
        elif self._remember(seen, current):
            self._on_change(name)
        conclusion = decisions.failed(seen, violation, attempt, current)
        await self._reporter.report(seen.authority, conclusion.status, conclusion.announcement)
        return conclusion.look_again


def _list_signers(seen: Observed, kept: Keep, signer: CertificateAuthorityKey) -> ListSigners:
    """The intermediate, those before it, and the root, whose list verifiers of the whole path ask for."""
    former = ((Signer(one.certificate), load_private_key(one.key)) for one in kept.former)
    root = seen.root.contents.data["tls.key"] if seen.root else b""
    above = (Signer(kept.root.leaf.certificate, signs_leaves=False), load_private_key(root))
    return ((Signer(signer.certificate), signer.key), *former, above)


def _rfc3339(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _without_ours(annotations: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value for name, value in annotations.items() if name not in {rootrotation.SWITCHED, rootrotation.RETIRE}
    }
