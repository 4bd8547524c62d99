"""ClientCertificate: wants a certificate for a client of its own namespace, in a Secret."""

from typing import Annotated, ClassVar, Literal

import msgspec
from msgspec import Meta

from mintls.api.v1alpha1.keyspec import CLIENT_KEY_RULES, ClientPrivateKey
from mintls.api.v1alpha1.keystores import KEYSTORE_RULES, Keystores
from mintls.api.v1alpha1.meta import (
    AGE_COLUMN,
    MESSAGE_COLUMN,
    READY_COLUMN,
    REASON_COLUMN,
    AuthorityReference,
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
    ANNOTATIONS,
    LABELS,
    LIST_MAP_BY_TYPE,
    LIST_SET,
    OBJECT_NAME,
    REQUEST,
    SAN_EMAIL,
    SAN_IP,
    SAN_URI,
    SERVICE_NAME,
    Rule,
    cel,
    duration_from,
    duration_meta,
    duration_or_percentage_meta,
    durations_ordered,
    percentage_from,
)

RENEW_REQUESTED = "mintls.dev/renew-requested-at"
"""Annotation by which a person asks for a new certificate now; any value that differs from the last is a request."""
REKEY_REQUESTED = "mintls.dev/rekey-requested-at"
"""The same, and for a new key too where ``rotationPolicy`` is ``Never``."""
RESTART_PODS = "mintls.dev/restart-pods"
"""Annotation by which a person has pods that mount the Secret restarted when it changes: ``"true"``."""

DNSName = Annotated[str, Meta(max_length=253, extra_json_schema=cel(SERVICE_NAME))]

_SPEC_RULES = cel(
    durations_ordered(
        "renewBefore",
        "<",
        "duration",
        "renewBefore must be shorter than duration (24h if left out): it is how long before the end of a certificate "
        "the next one is made; leave it out for a third of duration",
    ),
    Rule(
        "!has(self.request) || !has(self.additionalOutputFormats) || self.additionalOutputFormats.size() == 0",
        "with a request the key is not here, and can have no further form: leave additionalOutputFormats out",
        field="additionalOutputFormats",
    ),
    *KEYSTORE_RULES,
    # OpenSSL takes chains of up to 100 KiB from its peer (SSL_MAX_CERT_LIST_DEFAULT).
    Rule(
        "!has(self.dnsNames) || self.dnsNames.map(name, size(name)).sum() <= 64000",
        "dnsNames must have no more than 64000 characters in all: programs take no larger certificate in a TLS "
        "handshake; share the names out among several ClientCertificates",
        field="dnsNames",
    ),
    Rule(
        "has(self.request) == has(oldSelf.request)",
        "a key that is made here and one that is elsewhere do not change places: make another ClientCertificate",
        field="request",
    ),
    percentage_from(
        "renewBefore", "duration", 10, "renewBefore must be at least 10s of duration (24h if left out): choose more"
    ),
)


_SECRET_NAME_STAYS = Rule(
    "self == oldSelf",
    "cannot change: a credential would stay behind in the old Secret; "
    "make another ClientCertificate and delete this one",
)


_REVOKED_STAYS = Rule(
    "self || !oldSelf",
    "cannot be taken back: who has the key would be let in again; make another ClientCertificate and delete this one",
)


class SecretTemplate(KubeStruct, frozen=True, kw_only=True):
    """What the Secret carries beside what Mintls puts there."""

    labels: Annotated[
        dict[str, Annotated[str, Meta(max_length=63)]],
        Meta(description="Labels, such as `team: blue`.", max_length=32, extra_json_schema=LABELS),
    ] = msgspec.field(default_factory=dict)
    annotations: Annotated[
        dict[str, Annotated[str, Meta(max_length=4096)]],
        Meta(description="Annotations, for programs that read them.", max_length=32, extra_json_schema=ANNOTATIONS),
    ] = msgspec.field(default_factory=dict)


class OutputFormat(KubeStruct, frozen=True, kw_only=True):
    """A further form of certificate and key in the Secret."""

    type: Annotated[
        Literal["CombinedPEM", "DER"],
        Meta(
            description="`CombinedPEM`: key and certificates in one file, `tls-combined.pem`. `DER`: the key as DER, "
            "PKCS #8, in `key.der`."
        ),
    ]


class ClientCertificateSpec(KubeStruct, frozen=True, kw_only=True):
    """Which client, where to put the credential, and how long it lives."""

    client_ref: Annotated[
        LocalReference, Meta(description="The OAuthClient of this namespace that the certificate authenticates.")
    ]
    secret_name: Annotated[
        str,
        Meta(
            description="The Secret that receives the credential. It is created, owned and kept by Mintls; "
            "a Secret of that name made by somebody else is left alone.",
            max_length=253,
            extra_json_schema=cel(OBJECT_NAME, _SECRET_NAME_STAYS),
        ),
    ]
    authority_ref: Annotated[AuthorityReference, Meta(description="The CertificateAuthority that signs.")] = (
        AuthorityReference()
    )
    duration: Annotated[
        str,
        duration_meta(
            "How long a certificate is valid; the authority's policy has the limits.",
            duration_from("1m", "must be at least 1m: clocks differ, and a renewal takes its time"),
        ),
    ] = "24h"
    renew_before: (
        Annotated[
            str,
            duration_or_percentage_meta(
                "How long before the end of a certificate the next one is made: in hours, minutes and seconds, such as "
                "`8h` or `1h30m`, or a percentage of the time that the certificate has when it is issued, such as "
                "`33%`; if its authority ends sooner, that is less than `duration`. Left out, a third of it. Renewals "
                "are moved forward by up to a tenth of it, so that many certificates do not renew at once.",
                duration_from("10s", "must be at least 10s"),
            ),
        ]
        | None
    ) = None
    private_key: Annotated[
        ClientPrivateKey,
        Meta(
            description="The key, which never leaves the Secret.",
            extra_json_schema=CLIENT_KEY_RULES,
        ),
    ] = ClientPrivateKey()
    secret_template: (
        Annotated[
            SecretTemplate,
            Meta(
                description="Labels and annotations of the Secret. What is taken out here is taken off the Secret; "
                "those that others put there stay."
            ),
        ]
        | None
    ) = None
    additional_output_formats: Annotated[
        tuple[OutputFormat, ...],
        Meta(
            description="Further forms of certificate and key in the Secret, for programs that take no pair of PEM "
            "files.",
            max_length=2,
            extra_json_schema=LIST_MAP_BY_TYPE,
        ),
    ] = ()
    keystores: Keystores | None = None
    dns_names: Annotated[
        tuple[DNSName, ...],
        Meta(
            description="DNS names beside the client's identity, for callers that expect one. "
            "Names of this namespace's Services, `<name>.<namespace>.svc`, also with the cluster's domain; and those "
            "that the authority's `policy.allowedNames` lets the namespace have. No more than 64000 characters in all.",
            max_length=500,
            extra_json_schema=LIST_SET,
        ),
    ] = ()
    uris: Annotated[
        tuple[Annotated[str, Meta(max_length=512, extra_json_schema=cel(*SAN_URI))], ...],
        Meta(
            description="URIs beside the client's identity, as far as the authority's `policy.allowedNames` lets the "
            "namespace have them. Programs that read SPIFFE IDs take a certificate with one URI only.",
            max_length=8,
            extra_json_schema=LIST_SET,
        ),
    ] = ()
    email_addresses: Annotated[
        tuple[Annotated[str, Meta(max_length=320, extra_json_schema=cel(SAN_EMAIL))], ...],
        Meta(
            description="E-mail addresses, as far as the authority's `policy.allowedNames` lets the namespace have "
            "them.",
            max_length=8,
            extra_json_schema=LIST_SET,
        ),
    ] = ()
    ip_addresses: Annotated[
        tuple[Annotated[str, Meta(max_length=45, extra_json_schema=cel(SAN_IP))], ...],
        Meta(
            description="IP addresses, as far as the authority's `policy.allowedNames` lets the namespace have them.",
            max_length=8,
            extra_json_schema=LIST_SET,
        ),
    ] = ()
    request: (
        Annotated[
            str,
            Meta(
                description="A certification request in PEM (PKCS #10), made by whoever has the key: then no key is "
                "made here, and none is in the cluster. The certificate is in the Secret (without `tls.key`) and in "
                "`status.certificate`, and is renewed for the same key until there is another request. Of the request "
                "the key is taken, and those alternative names that the certificate may have.",
                max_length=65536,
                extra_json_schema=cel(REQUEST),
            ),
        ]
        | None
    ) = None
    revoked: Annotated[
        bool,
        Meta(
            description="Ends every certificate that was issued for this object: the token issuer refuses them within "
            "a second, and no other is issued. It cannot be taken back.",
            extra_json_schema=cel(_REVOKED_STAYS),
        ),
    ] = False


class ClientCertificateStatus(KubeStruct, frozen=True, kw_only=True):
    """The certificate in the Secret, and what becomes of it."""

    observed_generation: ObservedGeneration = 0
    conditions: Conditions = ()
    serial_number: Annotated[str, Meta(description="Serial number of the certificate, in hexadecimal.")] = ""
    not_before: Annotated[Time, Meta(description="Start of its validity.")] | None = None
    not_after: Annotated[Time, Meta(description="End of its validity.")] | None = None
    renewal_time: Annotated[Time, Meta(description="When the next one is made.")] | None = None
    thumbprint: Annotated[
        str,
        Meta(description="SHA-256 thumbprint in base64url, as in `cnf` of tokens (`x5t#S256`, RFC 8705 section 3.1)."),
    ] = ""
    key_fingerprint: Annotated[
        str,
        Meta(
            description="SHA-256 of the certificate's public key (SubjectPublicKeyInfo) in hexadecimal: "
            "what to pin where `rotationPolicy` is `Never`."
        ),
    ] = ""
    observed_renew_request: Annotated[
        str,
        Meta(
            description=f"The annotation `{RENEW_REQUESTED}` that this status speaks of: "
            "once it is the object's, the renewal was done, or `Issuing` or `Ready` says why not."
        ),
    ] = ""
    observed_rekey_request: Annotated[
        str, Meta(description=f"The same for the annotation `{REKEY_REQUESTED}`, which asks for a new key, too.")
    ] = ""
    certificate: Annotated[
        str, Meta(description="With `spec.request` the certificate and its chain, PEM; else it is in the Secret alone.")
    ] = ""
    revision: Annotated[int, Meta(description="How many certificates were issued for this object.", ge=0)] = 0
    secret_resource_version: Annotated[
        str,
        Meta(
            description="`resourceVersion` of the Secret when it was last seen to be whole; "
            "any other is read and checked again."
        ),
    ] = ""
    failed_attempts: Annotated[int, Meta(description="Failed attempts since the last success.", ge=0)] = 0
    last_failure_time: Annotated[Time, Meta(description="When the last attempt failed.")] | None = None
    next_attempt_time: Annotated[Time, Meta(description="When it is tried again.")] | None = None


class ClientCertificate(KubeStruct, frozen=True, kw_only=True):
    """A short-lived certificate for an OAuthClient, in a Secret, renewed for as long as this object exists."""

    metadata: ObjectMeta
    spec: Annotated[
        ClientCertificateSpec,
        Meta(
            description="Which client, where to put the credential, and how long it lives.",
            extra_json_schema=_SPEC_RULES,
        ),
    ]
    status: Annotated[
        ClientCertificateStatus, Meta(description="The certificate in the Secret, and what becomes of it.")
    ] = msgspec.field(default_factory=ClientCertificateStatus)

    KIND: ClassVar[Kind] = Kind(
        kind="ClientCertificate",
        plural="clientcertificates",
        singular="clientcertificate",
        short_names=("ccert",),
        scope="Namespaced",
        columns=(
            PrinterColumn(
                name="Client", type="string", json_path=".spec.clientRef.name", description="The OAuthClient."
            ),
            PrinterColumn(name="Secret", type="string", json_path=".spec.secretName"),
            READY_COLUMN,
            REASON_COLUMN,
            PrinterColumn(
                name="Expires", type="string", json_path=".status.notAfter", description="When it ends.", priority=1
            ),
            PrinterColumn(
                name="Renewal",
                type="string",
                json_path=".status.renewalTime",
                description="When the next certificate is made.",
            ),
            PrinterColumn(name="Revision", type="integer", json_path=".status.revision", priority=1),
            MESSAGE_COLUMN,
            AGE_COLUMN,
        ),
    )
