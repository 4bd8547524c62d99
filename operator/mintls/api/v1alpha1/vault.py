"""``external.vault`` of a CertificateAuthority: the PKI secrets engine of HashiCorp Vault or of OpenBao."""

from typing import Annotated

from msgspec import Meta

from mintls.api.v1alpha1.meta import KubeStruct, LocalReference
from mintls.api.v1alpha1.rules import (
    PEM_CERTIFICATES,
    SERVER_URL,
    VAULT_MOUNT,
    VAULT_NAME,
    Rule,
    cel,
    object_name_meta,
)


class KubernetesLogin(KubeStruct, frozen=True, kw_only=True):
    """Vault's Kubernetes auth method: it knows who asks by a token of a service account."""

    role: Annotated[
        str,
        Meta(description="A role of the auth method.", max_length=128, extra_json_schema=cel(VAULT_NAME)),
    ]
    mount: Annotated[
        str,
        Meta(description="Where the auth method is mounted.", max_length=253, extra_json_schema=cel(VAULT_MOUNT)),
    ] = "kubernetes"
    audience: Annotated[
        str,
        Meta(
            description="Audience of the token; the role has to have the same. It is good for nothing else, so that "
            "Vault can do nothing with it at the Kubernetes API.",
            min_length=1,
            max_length=253,
        ),
    ] = "vault"
    service_account: Annotated[
        str, object_name_meta("A service account of the operator's namespace, whose token is shown.")
    ] = "mintls-operator"


class VaultAuth(KubeStruct, frozen=True, kw_only=True):
    """How Vault knows who asks; exactly one."""

    kubernetes: (
        Annotated[
            KubernetesLogin,
            Meta(description="By a token of a service account, which lives ten minutes and is good for Vault alone."),
        ]
        | None
    ) = None
    token_secret_ref: (
        Annotated[
            LocalReference,
            Meta(
                description="By the token in the file `token` of a Secret of the operator's namespace. It is read and "
                "never written, and not renewed."
            ),
        ]
        | None
    ) = None


_ONE_AUTH = Rule(
    "has(self.kubernetes) != has(self.tokenSecretRef)",
    "auth takes exactly one of kubernetes and tokenSecretRef: how Vault knows who asks",
)


class Vault(KubeStruct, frozen=True, kw_only=True):
    """The PKI secrets engine of HashiCorp Vault or of OpenBao, asked over its HTTPS API."""

    url: Annotated[
        str,
        Meta(
            description="Where it serves. The host has to be among the names of its certificate.",
            max_length=512,
            extra_json_schema=cel(SERVER_URL),
        ),
    ]
    mount: Annotated[
        str,
        Meta(
            description="Where the PKI secrets engine is mounted; in a namespace of Vault, with that before it.",
            max_length=253,
            extra_json_schema=cel(VAULT_MOUNT),
        ),
    ] = "pki"
    role: Annotated[
        str,
        Meta(description="The role that is signed by.", max_length=128, extra_json_schema=cel(VAULT_NAME)),
    ]
    ca_bundle: (
        Annotated[
            str,
            Meta(
                description="Roots that its server's own certificate may lead to, PEM. Left out, those of "
                "`external.caBundle`; no other CA is trusted.",
                max_length=8192,
                extra_json_schema=cel(PEM_CERTIFICATES),
            ),
        ]
        | None
    ) = None
    auth: Annotated[VaultAuth, Meta(description="How Vault knows who asks.", extra_json_schema=cel(_ONE_AUTH))]
