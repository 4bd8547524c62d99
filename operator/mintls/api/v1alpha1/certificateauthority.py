"""CertificateAuthority: where certificates come from and what they may say."""

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from mintls.api.v1alpha1.external import ONE_WAY, External
from mintls.api.v1alpha1.keyspec import SIZE_RULES, PrivateKey
from mintls.api.v1alpha1.meta import (
    AGE_COLUMN,
    MESSAGE_COLUMN,
    READY_COLUMN,
    REASON_COLUMN,
    Conditions,
    Kind,
    KubeStruct,
    LocalReference,
    ObjectMeta,
    ObservedGeneration,
    PrinterColumn,
    Time,
)
from mintls.api.v1alpha1.rules import (
    DNS_PATTERN,
    EMAIL_PATTERN,
    IP_PATTERN,
    LIST_ATOMIC,
    LIST_MAP_BY_FINGERPRINT,
    LIST_SET,
    PEM_CERTIFICATE,
    URI_PATTERN,
    Rule,
    cel,
    duration_from,
    duration_meta,
    duration_or_percentage_meta,
    durations_ordered,
)
from mintls.api.v1alpha1.selector import LabelSelector

ROTATE_REQUESTED = "mintls.dev/rotate-root-requested-at"
"""Annotation by which a person asks for another root now; any value that differs from the last is a request."""
HOLD_ROTATION = "mintls.dev/hold-root-rotation"
"""Annotation by which no root is replaced: none is begun with, and a next root that does not sign yet goes away."""


class Root(KubeStruct, frozen=True, kw_only=True):
    """The self-signed root, the anchor of trust."""

    duration: Annotated[
        str, duration_meta("How long the root is valid.", duration_from("1h", "must be at least 1h"))
    ] = "87600h"
    renew_before: (
        Annotated[
            str,
            duration_or_percentage_meta(
                "How long before the end of the root the next one is begun with: a time such as `8760h`, or a share of "
                "its life such as `20%`. Left out, a third of it. It has to be enough for `trustBeforeUse`, "
                "`reissueWithin` and the longest leaf.",
                duration_from("10m", "must be at least 10m"),
            ),
        ]
        | None
    ) = None
    trust_before_use: Annotated[
        str,
        duration_meta(
            "How long everybody is known to trust a new root before it signs. Mounted Secrets and ConfigMaps follow "
            "within two minutes; this is also for programs that read them now and then.",
        ),
    ] = "1h"
    reissue_within: Annotated[
        str,
        duration_meta(
            "Over which time the leaves are issued anew once a new root signs, those that end first before the others.",
        ),
    ] = "1h"


class Intermediate(KubeStruct, frozen=True, kw_only=True):
    """The CA that signs leaves, itself signed by the root and replaced by the operator at half its life."""

    duration: Annotated[
        str, duration_meta("How long an intermediate is valid.", duration_from("10m", "must be at least 10m"))
    ] = "2160h"


class SelfSigned(KubeStruct, frozen=True, kw_only=True):
    """A root and an intermediate that the operator makes and keeps in Secrets of its own namespace."""

    root: Annotated[Root, Meta(description="The self-signed root, the anchor of trust.")] = Root()
    intermediate: Annotated[Intermediate, Meta(description="The CA that signs leaves.")] = Intermediate()
    private_key: Annotated[
        PrivateKey, Meta(description="Keys of root and intermediate.", extra_json_schema=SIZE_RULES)
    ] = PrivateKey()


class AllowedNames(KubeStruct, frozen=True, kw_only=True):
    """Names that certificates of some namespaces may carry beside the client's identity and their own Services."""

    namespace_selector: (
        Annotated[LabelSelector, Meta(description="Which namespaces, by their labels. Left out, or `{}`: all of them.")]
        | None
    ) = None
    dns_names: Annotated[
        tuple[Annotated[str, Meta(max_length=253, extra_json_schema=cel(DNS_PATTERN))], ...],
        Meta(
            description="DNS names; `*.example.com` stands for all names below `example.com`. Never names of the "
            "cluster's own DNS.",
            max_length=16,
            extra_json_schema=LIST_SET,
        ),
    ] = ()
    uris: Annotated[
        tuple[Annotated[str, Meta(max_length=512, extra_json_schema=cel(URI_PATTERN))], ...],
        Meta(
            description="URIs; a `*` at the end stands for whatever follows. Never SPIFFE IDs of this installation.",
            max_length=16,
            extra_json_schema=LIST_SET,
        ),
    ] = ()
    email_addresses: Annotated[
        tuple[Annotated[str, Meta(max_length=320, extra_json_schema=cel(EMAIL_PATTERN))], ...],
        Meta(
            description="E-mail addresses; `*@example.com` stands for all of `example.com`.",
            max_length=16,
            extra_json_schema=LIST_SET,
        ),
    ] = ()
    ip_addresses: Annotated[
        tuple[Annotated[str, Meta(max_length=43, extra_json_schema=cel(IP_PATTERN))], ...],
        Meta(description="IP addresses and networks, such as `10.0.0.0/8`.", max_length=16, extra_json_schema=LIST_SET),
    ] = ()


class Policy(KubeStruct, frozen=True, kw_only=True):
    """What leaves may be."""

    min_duration: Annotated[str, duration_meta("The shortest leaf.", duration_from("1m", "must be at least 1m"))] = "1m"
    max_duration: Annotated[str, duration_meta("The longest leaf.", duration_from("1m", "must be at least 1m"))] = (
        "168h"
    )
    backdate: Annotated[
        str,
        duration_meta("How far `notBefore` lies in the past, for callers whose clock is behind."),
    ] = "1m"
    allowed_names: Annotated[
        tuple[AllowedNames, ...],
        Meta(
            description="Further names that certificates may carry, by namespace. Without any, a certificate carries "
            "its client's identity and names of its namespace's Services alone.",
            max_length=16,
            extra_json_schema=LIST_ATOMIC,
        ),
    ] = ()
    key_algorithms: Annotated[
        tuple[Literal["ECDSA", "RSA", "Ed25519"], ...],
        Meta(
            description="Algorithms of the keys that are signed for. Left out, all of them.", extra_json_schema=LIST_SET
        ),
    ] = ()


_POLICY_RULES = cel(
    durations_ordered("minDuration", "<=", "maxDuration", "minDuration must not be longer than maxDuration")
)


class TrustBundle(KubeStruct, frozen=True, kw_only=True):
    """The ConfigMap `mintls-trust-bundle`: in which further namespaces it is, and what is in it."""

    namespace_selector: (
        Annotated[
            LabelSelector,
            Meta(
                description="Namespaces whose bundle has this authority's roots, by their labels; `{}` selects all. "
                "Namespaces that have an OAuthClient or a ClientCertificate have the roots of all authorities anyway."
            ),
        ]
        | None
    ) = None
    additional_certificates: Annotated[
        tuple[Annotated[str, Meta(max_length=8192, extra_json_schema=cel(PEM_CERTIFICATE))], ...],
        Meta(
            description="Further CA certificates, PEM, that stand in the bundle beside this authority's roots. "
            "Nobody is authenticated by them.",
            max_length=32,
            extra_json_schema=LIST_ATOMIC,
        ),
    ] = ()
    keystores: Annotated[
        tuple[Literal["JKS", "PKCS12"], ...],
        Meta(
            description="Further forms of the bundle, for Java: `truststore.jks` and `truststore.p12`, each with the "
            "password `changeit`: what they hold is public.",
            extra_json_schema=LIST_SET,
        ),
    ] = ()


_SPEC_RULES = cel(
    # Here and not at selfSigned: an optional object has no place for rules of its own.
    durations_ordered(
        "selfSigned.intermediate.duration",
        "<",
        "selfSigned.root.duration",
        "intermediate.duration must be shorter than root.duration: no certificate outlives the one that signed it",
    ),
    Rule(
        "!(has(self.selfSigned) && has(self.secretRef))",
        "selfSigned and secretRef are two sources of certificates: leave one of them out",
    ),
    Rule(
        "!has(self.external) || !(has(self.selfSigned) || has(self.secretRef))",
        "external is a source of certificates of its own: leave selfSigned and secretRef out",
    ),
    ONE_WAY,
    Rule(
        "!has(oldSelf.external) || has(self.external)",
        "external cannot be taken out: certificates of it are in use; make another CertificateAuthority instead",
    ),
    Rule(
        "!has(oldSelf.secretRef) || has(self.secretRef)",
        "secretRef cannot be taken out: certificates of it are in use; make another CertificateAuthority instead",
    ),
)


class CertificateAuthoritySpec(KubeStruct, frozen=True, kw_only=True):
    """Where certificates come from and what they may say. An empty spec is a self-signed CA with safe limits."""

    self_signed: (
        Annotated[
            SelfSigned,
            Meta(
                description="A root and an intermediate that the operator makes and keeps in Secrets of its own "
                "namespace. That is what an authority is that says nothing else.",
            ),
        ]
        | None
    ) = None
    secret_ref: (
        Annotated[
            LocalReference,
            Meta(
                description="A CA of your own in a Secret of the operator's namespace: `tls.crt` (the CA that signs, "
                "then each one's issuer), `tls.key`, and `ca.crt` with its root and any further roots to trust. It is "
                "read and never written. With the label `mintls.dev/authority: <name>` a change is taken up at once, "
                "without it within a minute.",
            ),
        ]
        | None
    ) = None
    external: (
        Annotated[External, Meta(description="A CA that runs elsewhere, and signs what the operator asks it for.")]
        | None
    ) = None
    policy: Annotated[Policy, Meta(description="What leaves may be.", extra_json_schema=_POLICY_RULES)] = Policy()
    trust_bundle: Annotated[
        TrustBundle, Meta(description="Where the ConfigMap `mintls-trust-bundle` is, and what is in it.")
    ] = TrustBundle()

    @property
    def own_ca(self) -> SelfSigned:
        """``selfSigned`` with its defaults; of no meaning where another source is named."""
        return self.self_signed or SelfSigned()


class AuthorityKey(KubeStruct, frozen=True, kw_only=True):
    """A root key of the authority and the certificates that go with it. All of it is public."""

    role: Annotated[
        Literal["active", "next", "retiring"],
        Meta(description="`active` signs; `next` is trusted and will sign; `retiring` is still trusted."),
    ]
    fingerprint: Annotated[
        str, Meta(description="SHA-256 of the root's public key (SubjectPublicKeyInfo), in hexadecimal.")
    ]
    not_after: Annotated[Time, Meta(description="End of the root's validity.")]
    certificate: Annotated[str, Meta(description="The root certificate, PEM.")]
    intermediate: Annotated[str, Meta(description="The current intermediate, PEM.")] = ""
    intermediate_not_after: Annotated[Time, Meta(description="End of the intermediate's validity.")] | None = None


class Rotation(KubeStruct, frozen=True, kw_only=True):
    """A root that is being replaced."""

    phase: Annotated[
        Literal["Preparing", "Reissuing", "Retiring"],
        Meta(
            description="`Preparing`: the next root is made known, and does not sign. `Reissuing`: it signs, and "
            "leaves are issued anew. `Retiring`: the root before is trusted until its last leaf has ended."
        ),
    ]
    message: Annotated[str, Meta(description="What it waits for.")] = ""
    trusted_since: Annotated[Time, Meta(description="Since when everybody is known to trust the next root.")] | None = (
        None
    )
    switched_at: Annotated[Time, Meta(description="When the new root began to sign.")] | None = None
    retire_at: Annotated[Time, Meta(description="When the root before is trusted no more.")] | None = None


class CertificateAuthorityStatus(KubeStruct, frozen=True, kw_only=True):
    """The keys of the authority."""

    observed_generation: ObservedGeneration = 0
    conditions: Conditions = ()
    keys: Annotated[
        tuple[AuthorityKey, ...],
        Meta(
            description="The root keys that vouch for certificates of this authority.",
            extra_json_schema=LIST_MAP_BY_FINGERPRINT,
        ),
    ] = ()
    rotation: Annotated[Rotation, Meta(description="The replacement of the root that is under way.")] | None = None
    observed_rotate_request: Annotated[
        str, Meta(description=f"The annotation `{ROTATE_REQUESTED}` that was answered by a rotation.")
    ] = ""
    next_rotation_time: Annotated[Time, Meta(description="When the intermediate is replaced.")] | None = None


class CertificateAuthority(KubeStruct, frozen=True, kw_only=True):
    """A source of certificates. One named `default` serves every object that names no other."""

    metadata: ObjectMeta
    spec: Annotated[
        CertificateAuthoritySpec,
        Meta(description="Where certificates come from and what they may say.", extra_json_schema=_SPEC_RULES),
    ] = CertificateAuthoritySpec()
    status: Annotated[CertificateAuthorityStatus, Meta(description="The keys of the authority.")] = msgspec.field(
        default_factory=CertificateAuthorityStatus
    )

    KIND: ClassVar[Kind] = Kind(
        kind="CertificateAuthority",
        plural="certificateauthorities",
        singular="certificateauthority",
        short_names=("mca",),
        scope="Cluster",
        rules=(
            Rule(
                "self.metadata.name.size() <= 63",
                "metadata.name must have at most 63 characters: Secrets are named after it",
            ),
        ),
        columns=(
            READY_COLUMN,
            REASON_COLUMN,
            PrinterColumn(
                name="Root expires", type="string", json_path='.status.keys[?(@.role=="active")].notAfter', priority=1
            ),
            PrinterColumn(
                name="Next rotation",
                type="string",
                json_path=".status.nextRotationTime",
                description="When the intermediate is replaced.",
            ),
            PrinterColumn(
                name="Root rotation",
                type="string",
                json_path=".status.rotation.phase",
                description="How far the replacement of the root is.",
            ),
            MESSAGE_COLUMN,
            AGE_COLUMN,
        ),
    )
