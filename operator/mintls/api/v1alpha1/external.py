"""``external`` of a CertificateAuthority: a CA that runs elsewhere and is asked for each certificate."""

from typing import Annotated

import msgspec
from msgspec import Meta

from mintls.api.v1alpha1.meta import KubeStruct, LocalReference
from mintls.api.v1alpha1.rules import PEM_CERTIFICATES, SERVER_URL, cel


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


class External(KubeStruct, frozen=True, kw_only=True):
    """A CA that runs elsewhere. What it signs is checked before it is used."""

    ca_bundle: Annotated[
        str,
        Meta(
            description="Its root, PEM, and any further roots that it may sign under: what clients and issuers trust, "
            "and what every certificate of it has to lead to.",
            max_length=8192,
            extra_json_schema=cel(PEM_CERTIFICATES),
        ),
    ]
    step_ca: Annotated[StepCA, Meta(description="smallstep's step-ca, asked over its HTTPS API.")] = msgspec.field(
        name="stepCA"
    )
