"""A simulated Secret: what a decision about a credential makes of it, signed by the real code.

Keys come from a pool, two of each kind in turn, because making an RSA key takes longer than everything else together.
"""

import base64
import secrets
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from typing import Any

import msgspec

from builders import pki
from builders.objects import authority_view, certificate, default_authority, observed, with_status
from builders.pki import NOW
from mintls.api.v1alpha1 import ClientCertificate
from mintls.api.v1alpha1.clientcertificate import ClientCertificateSpec, ClientCertificateStatus
from mintls.api.v1alpha1.meta import Condition
from mintls.controllers.entropy import new_key
from mintls.controllers.issuing import kept_pair, secret_manifest
from mintls.controllers.secretviews import contents_of, view_of
from mintls.core.pki.certificate import CertificateFacts, encode_pem, facts
from mintls.core.pki.jks import SALT_OCTETS
from mintls.core.pki.keys import KeySpec, PrivateKey, encode_private_key
from mintls.core.pki.names import parse_dn
from mintls.core.pki.profiles import EMPTY_NAME, LeafProfile, serial_number
from mintls.core.pki.signing import sign_leaf
from mintls.kube.jsonvalues import same_json, without_nulls
from mintls.reconcile.announcement import Announcement
from mintls.reconcile.certificate.conclude import conclude
from mintls.reconcile.certificate.decide import decide, must_read, must_read_passwords
from mintls.reconcile.certificate.foreignwriter import after_repair
from mintls.reconcile.certificate.values import (
    Conclusion,
    Failed,
    Issue,
    Keep,
    Observed,
    Outcome,
    Repairs,
    Rewrite,
    Written,
)
from mintls.reconcile.conditions import find, holds
from mintls.reconcile.credential import AuthorityView, Contents, SecretView, Violation, Wanted
from mintls.reconcile.keystores import Made, PasswordSecret, make, version_used, wanted_keystores


@cache
def pooled_key(spec: KeySpec, number: int = 0) -> PrivateKey:
    """One of the pool's keys of a kind."""
    del number
    return new_key(spec)


def make_pair(
    wanted: Wanted,
    not_before: datetime,
    not_after: datetime,
    authority: pki.Authority,
    key: PrivateKey | None = None,
) -> tuple[CertificateFacts, dict[str, bytes]]:
    """A leaf for what is wanted, for a key of the pool if no other is given, and ``tls.crt`` and ``tls.key``."""
    key = key or pooled_key(wanted.key)
    start, end = authority.signer.clip(not_before, not_after)
    subject = parse_dn(wanted.subject.value) if wanted.subject else EMPTY_NAME
    profile = LeafProfile(subject, wanted.names, wanted.usage, start, end, wanted.origin)
    leaf = sign_leaf(profile, key.public_key(), authority.signer, serial_number(secrets.token_bytes(20)))
    return facts(leaf), {
        "tls.crt": encode_pem(leaf, *authority.signer.chain),
        "tls.key": encode_private_key(key, wanted.encoding),
    }


@dataclass
class SimulatedSecret:
    """One Secret as the API server keeps it; ``None`` while there is none."""

    body: dict[str, Any] | None = None
    version: int = 100
    written: int = 0
    applied: dict[str, set[str]] = field(default_factory=dict)

    @property
    def view(self) -> SecretView | None:
        return view_of(self.body) if self.body is not None else None

    @property
    def contents(self) -> Contents | None:
        return contents_of(self.body) if self.body is not None else None

    @property
    def data(self) -> dict[str, bytes]:
        contents = self.contents
        return dict(contents.data) if contents is not None else {}

    def put(self, manifest: dict[str, Any]) -> None:
        """Server-side apply: foreign keys, labels and annotations stay, ours go when they left the manifest."""
        self.version += 1
        self.written += 1
        before = self.body or {"metadata": {"uid": f"secret-{self.version}"}}
        metadata = {**before["metadata"], **manifest["metadata"], "resourceVersion": str(self.version)}
        for part in ("labels", "annotations"):
            there, applied = before["metadata"].get(part, {}), manifest["metadata"].get(part, {})
            left = self.applied.get(part, set()) - applied.keys()
            metadata[part] = {**{key: value for key, value in there.items() if key not in left}, **applied}
            self.applied[part] = set(applied)
        self.body = {**manifest, "metadata": metadata, "data": {**before.get("data", {}), **manifest["data"]}}

    def edit(self, **files: bytes | None) -> None:
        """Somebody's hand: each file set, or taken away with ``None``; ``__`` in a name stands for a dot."""
        if self.body is None:
            return
        data = dict(self.body["data"])
        for name, value in files.items():
            file = name.replace("__", ".")
            data.pop(file, None)
            if value is not None:
                data[file] = base64.b64encode(value).decode()
        self.body = {**self.body, "data": data}
        self._touch()

    def edit_metadata(self, **changes: Any) -> None:
        """Somebody's hand on labels, annotations or owner references."""
        if self.body is None:
            return
        self.body = {**self.body, "metadata": {**self.body["metadata"], **changes}}
        self._touch()

    def delete(self) -> None:
        self.body = None
        self.version += 1

    def _touch(self) -> None:
        self.version += 1
        assert self.body is not None
        self.body["metadata"] = {**self.body["metadata"], "resourceVersion": str(self.version)}


SALT = bytes(SALT_OCTETS)


def carry_out(order: Issue | Rewrite, seen: Observed, secret: SimulatedSecret, authority: pki.Authority) -> Written:
    """Write the Secret as the controller does."""
    if isinstance(order, Issue):
        key = order.kept_key or pooled_key(order.wanted.key, order.revision % 2)
        leaf, pair = make_pair(order.wanted, order.not_before, order.not_after, authority, key)
    else:
        leaf = order.credential.leaf
        pair = kept_pair(order.contents, order.wanted)
    files = {**pair, "ca.crt": order.wanted.files["ca.crt"].encode()}
    keystores = make(order.wanted.keystores, seen.passwords or {}, files, SALT)
    secret.put(manifest_of(seen.certificate, order.wanted, pair, order.revision, keystores))
    assert secret.view is not None
    return Written(leaf, secret.view.resource_version)


def manifest_of(
    item: ClientCertificate, wanted: Wanted, pair: dict[str, bytes], revision: int, keystores: Made | None = None
) -> dict[str, Any]:
    """The Secret of a ClientCertificate."""
    return secret_manifest(
        namespace=item.metadata.namespace,
        name=item.spec.secret_name,
        component="client-certificate",
        pair=pair,
        wanted=wanted,
        revision=revision,
        owner={"uid": item.metadata.uid, "controller": True},
        keystores=keystores,
    )


@dataclass
class Life:
    """A ClientCertificate and its Secret over time: what the controller does, without a controller.

    Attributes:
        item: The object; its status follows.
        authority: The CA that signs.
        view: What is known of it.
        now: The time.
        secret: The Secret.
        whole: The version of it that this process found whole; forgotten by :meth:`restart`.
        changes: What else is observed differently.
        refused: What becomes of a write, if anything else than success.
        said: All announcements.
        passwords: The Secrets with passwords of keystores, by name.
        right_passwords: Their version that this process found the keystores right for.
    """

    item: ClientCertificate
    authority: pki.Authority = field(default_factory=default_authority)
    view: AuthorityView = field(default_factory=authority_view)
    now: datetime = NOW
    secret: SimulatedSecret = field(default_factory=SimulatedSecret)
    whole: str = ""
    changes: dict[str, Any] = field(default_factory=dict)
    refused: Violation | None = None
    said: list[Announcement] = field(default_factory=list)
    status_writes: int = 0
    repairs: Repairs | None = None
    passwords: dict[str, PasswordSecret] = field(default_factory=dict)
    right_passwords: str = ""

    def observe(self) -> Observed:
        """The Secret is read if it has to be."""
        status = self.item.status
        seen = observed(
            self.item,
            secret=self.secret.view,
            whole_version=self.whole or status.secret_resource_version,
            authority=self.view,
            now=self.now,
            repairs=self.repairs,
            password_versions={name: secret.version for name, secret in self.passwords.items()},
            right_passwords=self.right_passwords,
            **self.changes,
        )
        if must_read(seen):
            seen = replace(seen, contents=self.secret.contents)
        return replace(seen, passwords=dict(self.passwords)) if must_read_passwords(seen) else seen

    def look(self, *, killed: bool = False) -> Conclusion | None:
        """One look; ``killed`` between the Secret's write and the status'."""
        seen = self.observe()
        decision = decide(seen)
        outcome: Outcome = None
        if isinstance(decision, Issue | Rewrite):
            outcome = Failed(self.refused) if self.refused else carry_out(decision, seen, self.secret, self.authority)
        if killed:
            self.whole = ""
            return None
        conclusion = conclude(seen, decision, outcome)
        if isinstance(outcome, Written):
            self.whole = outcome.resource_version
            self.repairs = after_repair(seen)
        elif isinstance(decision, Keep):
            self.whole = decision.secret.resource_version
        if seen.passwords is not None and (isinstance(outcome, Written) or isinstance(decision, Keep)):
            self.right_passwords = version_used(wanted_keystores(self.item.spec), seen.passwords)
        self._write_status(conclusion)
        return conclusion

    def _write_status(self, conclusion: Conclusion) -> None:
        if conclusion.announcement is not None:
            self.said.append(conclusion.announcement)
        if self.writes_status(conclusion):
            self.status_writes += 1
        # As it comes back from the API server.
        status = msgspec.convert(msgspec.to_builtins(conclusion.status), ClientCertificateStatus)
        self.item = with_status(self.item, status)

    def writes_status(self, conclusion: Conclusion) -> bool:
        """Whether the API server would be written to."""
        old, new = (without_nulls(msgspec.to_builtins(each)) for each in (self.item.status, conclusion.status))
        return not same_json(old, new)

    def settle(self) -> None:
        """Look until nothing is left to do; three looks have to be enough."""
        for _ in range(3):
            if isinstance(decide(self.observe()), Keep):
                break
            self.look()
        self.look()

    def restart(self) -> None:
        """Another process goes on."""
        self.whole = self.right_passwords = ""
        self.repairs = None

    def edit_spec(self, **spec: Any) -> None:
        """The user's hand; a new generation."""
        metadata = msgspec.structs.replace(self.item.metadata, generation=self.item.metadata.generation + 1)
        changed = msgspec.convert({**msgspec.to_builtins(self.item.spec), **spec}, ClientCertificateSpec)
        self.item = msgspec.structs.replace(self.item, metadata=metadata, spec=changed)

    @property
    def status(self) -> ClientCertificateStatus:
        return self.item.status

    def ready(self) -> bool:
        return holds(self.status.conditions, "Ready")

    def condition(self, type_: str) -> Condition | None:
        return find(self.status.conditions, type_)


def life(spec: dict[str, Any] | None = None, **parts: Any) -> Life:
    return Life(certificate(spec=spec), **parts)


def issued(spec: dict[str, Any] | None = None, **parts: Any) -> Life:
    """A certificate that was issued a moment ago."""
    made = life(spec, **parts)
    made.look()
    assert made.ready()
    return made


def renewal_of(made: Life) -> Any:
    assert made.status.renewal_time is not None
    return made.status.renewal_time


def half_time(life: Life) -> datetime:
    """Half of the time between renewal and end."""
    return renewal_of(life) + (end_of(life) - renewal_of(life)) / 2


def end_of(made: Life) -> Any:
    assert made.status.not_after is not None
    return made.status.not_after
