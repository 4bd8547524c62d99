"""The CA keys in memory, and what others may know of each authority."""

from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

from cryptography import x509

from mintls.api.v1alpha1 import CertificateAuthority
from mintls.controllers.certificatesource import CertificateSource, LocalKey
from mintls.core.durations import DurationError, parse_duration
from mintls.core.pki.certificate import InvalidCertificate, key_fingerprint, load_pem_chain
from mintls.core.pki.keys import PrivateKey
from mintls.core.pki.signing import CertificateAuthorityKey
from mintls.core.pki.trust import render_bundle
from mintls.reconcile.credential import AuthorityView, Retiring
from mintls.reconcile.distribution import distribution_of
from mintls.reconcile.revocationlist import Signer

type ListSigners = tuple[tuple[Signer, PrivateKey], ...]
"""CAs that sign CRLs, each with its key; the one that signs leaves now is the first."""


@dataclass(slots=True)
class Keyring:
    """Authorities that were reconciled in this process, by name."""

    _views: dict[str, AuthorityView] = field(default_factory=dict)
    _signers: dict[str, CertificateAuthorityKey] = field(default_factory=dict, repr=False)
    _sources: dict[str, CertificateSource] = field(default_factory=dict, repr=False)
    _list_signers: dict[str, ListSigners] = field(default_factory=dict, repr=False)

    def view(self, name: str) -> AuthorityView | None:
        """What others may know of the authority; ``None`` if it was not reconciled yet or is gone."""
        return self._views.get(name)

    def signer(self, name: str) -> CertificateAuthorityKey | None:
        """The key that signs leaves; ``None`` while the authority cannot sign, and where the key is elsewhere."""
        return self._signers.get(name)

    def source(self, name: str) -> CertificateSource | None:
        """Where its certificates come from; ``None`` while there are none to be had."""
        return self._sources.get(name)

    def list_signers(self, name: str) -> ListSigners:
        """The keys that sign CRLs; none where the keys are elsewhere. While it cannot sign leaves, those of before."""
        return self._list_signers.get(name, ())

    def put(
        self,
        authority: CertificateAuthority,
        root: x509.Certificate,
        signer: CertificateAuthorityKey,
        *,
        next_root: x509.Certificate | None = None,
        retiring: Retiring | None = None,
        fingerprint: str = "",
        also_trusted: tuple[x509.Certificate, ...] = (),
        list_signers: ListSigners = (),
    ) -> bool:
        """The authority can sign.

        Args:
            authority: The object.
            root: The root that is signed under.
            signer: The key that signs.
            next_root: The root that will be signed under.
            retiring: The root that was signed under before.
            fingerprint: Tells the keys from other ones of the authority, if the root's does not.
            also_trusted: Further roots.
            list_signers: The keys that sign CRLs.

        Returns:
            Whether anything changed for others.
        """
        name = authority.metadata.name
        view = replace(
            _with_spec(AuthorityView(name), authority),
            fingerprint=fingerprint or key_fingerprint(root),
            root=root,
            also_trusted=also_trusted,
            next_root=next_root,
            retiring=retiring,
            signs_until=signer.not_after,
        )
        view = replace(view, bundle=render_bundle(view.roots))
        self._signers[name] = signer
        self._sources[name] = LocalKey(signer)
        before, self._list_signers[name] = self.list_signers(name), list_signers
        others = [one for one, _ in before] != [one for one, _ in list_signers]
        return self._replace(name, view) or others

    def put_external(
        self,
        authority: CertificateAuthority,
        roots: tuple[x509.Certificate, ...],
        source: CertificateSource,
        problem: str,
    ) -> bool:
        """The authority's CA is elsewhere.

        Args:
            authority: The object.
            roots: The roots that it may sign under, any of them.
            source: Asks it.
            problem: Why it cannot be asked at present; "" if it can.

        Returns:
            Whether anything changed for others.
        """
        name = authority.metadata.name
        self._signers.pop(name, None)
        self._list_signers.pop(name, None)
        if problem:
            self._sources.pop(name, None)
        else:
            self._sources[name] = source
        view = replace(
            _with_spec(AuthorityView(name), authority),
            problem=problem,
            fingerprint=key_fingerprint(roots[0]),
            root=roots[0],
            also_trusted=roots[1:],
            signs_under=roots,
            bundle=render_bundle(roots),
        )
        return self._replace(name, view)

    def block(self, authority: CertificateAuthority, problem: str, root: x509.Certificate | None) -> bool:
        """The authority cannot sign at present.

        Args:
            authority: The object. Its limits still hold, and the reach of its trust bundle; if they cannot be read,
                those of before. Before any there are no limits, for what was signed within one is not to be found
                fault with because of another.
            problem: Why, for people.
            root: The root that it is known by: certificates of it stay good.

        Returns:
            Whether anything changed for others.
        """
        name = authority.metadata.name
        self._signers.pop(name, None)
        self._sources.pop(name, None)
        view = self._views.get(name) or _from_status(authority)
        with suppress(DurationError, InvalidCertificate):
            view = _with_spec(view, authority)
        blocked = replace(
            view,
            problem=problem,
            fingerprint=(view.fingerprint or key_fingerprint(root)) if root else "",
            root=root,
            signs_until=None,
        )
        blocked = replace(blocked, bundle=render_bundle(blocked.roots) if root else "")
        return self._replace(name, blocked)

    def remove(self, name: str) -> bool:
        """The authority is gone.

        Returns:
            Whether anything changed for others.
        """
        self._signers.pop(name, None)
        self._sources.pop(name, None)
        self._list_signers.pop(name, None)
        return self._views.pop(name, None) is not None

    def bundle(self, *names: str) -> str:
        """The roots of these authorities, or of all, as PEM: each once, in a fixed order."""
        views = (self._views.get(name) for name in names or self._views)
        return render_bundle(root for view in views if view is not None for root in view.roots)

    def views(self) -> tuple[AuthorityView, ...]:
        """What others may know of each authority."""
        return tuple(self._views.values())

    def _replace(self, name: str, view: AuthorityView) -> bool:
        changed = self._views.get(name) != view
        self._views[name] = view
        return changed


def recorded_root(authority: CertificateAuthority) -> x509.Certificate | None:
    """The root that the authority is known by, from its status: certificates of it stay good whatever happens."""
    pem = next((key.certificate for key in authority.status.keys if key.role == "active"), "")
    try:
        return load_pem_chain(pem.encode())[0] if pem else None
    except InvalidCertificate:
        return None  # somebody's hand in the status; what the authority is known by is the fingerprint


def _from_status(authority: CertificateAuthority) -> AuthorityView:
    """An authority that this process has not seen able to sign: no limits, and the other roots that it is known by."""
    name, rotation = authority.metadata.name, authority.status.rotation
    view = AuthorityView(name, min_duration=timedelta(0), max_duration=timedelta.max)
    for key in authority.status.keys:
        with suppress(InvalidCertificate):
            root = load_pem_chain(key.certificate.encode())[0]
            since = (rotation.switched_at if rotation else None) or root.not_valid_before_utc
            if key.role == "next":
                view = replace(view, next_root=root)
            elif key.role == "retiring":
                # None of its leaves is issued anew while nothing can be signed, so over which time does not matter.
                view = replace(view, retiring=Retiring(root, key_fingerprint(root), since, timedelta(0)))
    return view


def _with_spec(view: AuthorityView, authority: CertificateAuthority) -> AuthorityView:
    policy = authority.spec.policy
    return replace(
        view,
        distribution=distribution_of(authority),
        allowed_names=policy.allowed_names,
        key_algorithms=policy.key_algorithms,
        min_duration=parse_duration(policy.min_duration),
        max_duration=parse_duration(policy.max_duration),
        backdate=parse_duration(policy.backdate),
    )
