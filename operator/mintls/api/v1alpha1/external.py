"""``external`` of a CertificateAuthority: a CA that runs elsewhere and is asked for each certificate."""

from typing import Annotated

import msgspec
from msgspec import Meta

from mintls.api.v1alpha1.meta import KubeStruct, LocalReference
from mintls.api.v1alpha1.rules import (
    API_GROUP,
    KIND_NAME,
    NAMESPACE_NAME,
    PEM_CERTIFICATES,
    SERVER_URL,
    Rule,
    cel,
    object_name_meta,
)
from mintls.api.v1alpha1.vault import Vault


class StepCAProvisioner(KubeStruct, frozen=True, kw_only=True):
    """A provisioner of type JWK, by which step-ca knows who asks."""

    name: Annotated[
        str,
        Meta(description="Its name at the CA (`step ca provisioner list`).", min_length=1, max_length=253),
    ]
    secret_ref: Annotated[
        LocalReference,
        Meta(
            description="The Secret of the operator's namespace with its credential: `password`, by which its key at "
            "the CA is decrypted, or `jwk`, the private key itself (RFC 7517). It is read and never written."
        ),
    ]


class StepCA(KubeStruct, frozen=True, kw_only=True):
    """smallstep's step-ca, asked over its HTTPS API."""

    url: Annotated[
        str,
        Meta(
            description="Where it serves. The host has to be among its `dnsNames`. Its certificate has to be of a root "
            "of `caBundle`; no other CA is trusted.",
            max_length=512,
            extra_json_schema=cel(SERVER_URL),
        ),
    ]
    provisioner: Annotated[StepCAProvisioner, Meta(description="A provisioner of type JWK.")]


CERT_MANAGER_GROUP = "cert-manager.io"

_ISSUER_KIND = Rule(
    f"self.group != '{CERT_MANAGER_GROUP}' || self.kind in ['Issuer', 'ClusterIssuer']",
    f"kind must be Issuer or ClusterIssuer where group is {CERT_MANAGER_GROUP}",
)


class IssuerReference(KubeStruct, frozen=True, kw_only=True):
    """An issuer of cert-manager, or of an add-on to it."""

    name: Annotated[str, object_name_meta("Its name.")]
    kind: Annotated[
        str,
        Meta(
            description="Issuer or ClusterIssuer, or the kind of an add-on's. An Issuer has to be in the namespace of "
            "the requests.",
            max_length=63,
            extra_json_schema=cel(KIND_NAME),
        ),
    ] = "Issuer"
    group: Annotated[str, Meta(description="Its API group.", max_length=253, extra_json_schema=cel(API_GROUP))] = (
        CERT_MANAGER_GROUP
    )


class CertManager(KubeStruct, frozen=True, kw_only=True):
    """cert-manager, asked by CertificateRequests."""

    issuer_ref: Annotated[IssuerReference, Meta(description="Who signs.", extra_json_schema=cel(_ISSUER_KIND))]
    namespace: (
        Annotated[
            str,
            Meta(
                description="Where the CertificateRequests are made. Left out, in the operator's own namespace. In "
                "another one the operator needs the rights for that, too.",
                max_length=63,
                extra_json_schema=cel(NAMESPACE_NAME),
            ),
        ]
        | None
    ) = None


class External(KubeStruct, frozen=True, kw_only=True):
    """A CA that runs elsewhere. What it signs is checked before it is used. It is asked in exactly one way."""

    ca_bundle: Annotated[
        str,
        Meta(
            description="Its root, PEM, and any further roots that it may sign under: what clients and issuers trust, "
            "and what every certificate of it has to lead to.",
            max_length=8192,
            extra_json_schema=cel(PEM_CERTIFICATES),
        ),
    ]
    step_ca: Annotated[StepCA, Meta(description="smallstep's step-ca, asked over its HTTPS API.")] | None = (
        msgspec.field(name="stepCA", default=None)
    )
    cert_manager: (
        Annotated[CertManager, Meta(description="cert-manager, asked by CertificateRequests in this cluster.")] | None
    ) = None
    vault: (
        Annotated[
            Vault,
            Meta(description="The PKI secrets engine of HashiCorp Vault or of OpenBao, asked over its HTTPS API."),
        ]
        | None
    ) = None


# At the parent: an optional object has no place for rules of its own.
ONE_WAY = Rule(
    "!has(self.external) || [has(self.external.stepCA), has(self.external.certManager), has(self.external.vault)]"
    ".filter(given, given).size() == 1",
    "external takes exactly one of stepCA, certManager and vault: the way in which the CA is asked",
)
