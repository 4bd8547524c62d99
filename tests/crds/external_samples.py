"""``external`` of CertificateAuthorities."""

from typing import Any

from crds.name_samples import OBJECT_NAME
from crds.sample import UNCHECKED, Sample, authority, refused, too_long
from crds.trust_samples import CERTIFICATE

PROVISIONER: dict[str, Any] = {"name": "mintls", "secretRef": {"name": "step-ca"}}
STEP_CA: dict[str, Any] = {"url": "https://ca.example:9000", "provisioner": PROVISIONER}
EXTERNAL: dict[str, Any] = {"caBundle": CERTIFICATE, "stepCA": STEP_CA}
ISSUER: dict[str, Any] = {"name": "corporate"}
ONE_WAY = (
    "spec: Invalid value: external takes exactly one of stepCA, certManager and vault: the way in which the CA is asked"
)


def step_ca(title: str, *errors: str, **members: Any) -> Sample:
    return authority(title, *errors, external=EXTERNAL | {"stepCA": STEP_CA | members})


def provisioner(title: str, *errors: str, **members: Any) -> Sample:
    return step_ca(title, *errors, provisioner=PROVISIONER | members)


def cert_manager(title: str, *errors: str, issuer: dict[str, Any] = ISSUER, **members: Any) -> Sample:
    return authority(title, *errors, external={"caBundle": CERTIFICATE, "certManager": {"issuerRef": issuer} | members})


KUBERNETES: dict[str, Any] = {"auth": {"kubernetes": {"role": "mintls"}}}
VAULT: dict[str, Any] = {"url": "https://vault.example:8200", "role": "mintls", **KUBERNETES}
ONE_AUTH = (
    "spec.external.vault.auth: Invalid value: auth takes exactly one of kubernetes and tokenSecretRef: how Vault knows "
    "who asks"
)
VAULT_NAME = "must be a name as Vault has them: letters, digits, - . and _ with a letter, digit or _ at both ends"
LOGIN = "spec.external.vault.auth.kubernetes"
MOUNT = "must be the path of a mount without a slash at its ends, such as pki or team/pki"


def vault(title: str, *errors: str, **members: Any) -> Sample:
    return authority(title, *errors, external={"caBundle": CERTIFICATE, "vault": VAULT | members})


def login(title: str, *errors: str, **members: Any) -> Sample:
    return vault(title, *errors, auth={"kubernetes": {"role": "mintls"} | members})


def without(whole: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in whole.items() if key != name}


EXTERNALS = (
    authority("step-ca", external=EXTERNAL),
    *(
        authority(
            f"a CA elsewhere beside {other}",
            "spec: Invalid value: external is a source of certificates of its own: leave selfSigned and secretRef out",
            external=EXTERNAL,
            **{other: value},
        )
        for other, value in (("selfSigned", {}), ("secretRef", {"name": "corporate-ca"}))
    ),
    authority(
        "a bundle that is no certificate",
        refused(
            "spec.external.caBundle",
            "roots",
            "must be certificates in PEM, from -----BEGIN CERTIFICATE----- on; a private key has no place here",
        ),
        external=EXTERNAL | {"caBundle": "roots"},
    ),
    authority(
        "a bundle too long",
        too_long("spec.external.caBundle", 8192),
        UNCHECKED,
        external=EXTERNAL | {"caBundle": "x" * 8193},
    ),
    *(
        authority(
            f"step-ca at {url}",
            refused(
                "spec.external.stepCA.url",
                url,
                "must be https:// with a host, and a port if it is not 443, and nothing after it, such as "
                "https://ca.example:9000",
            ),
            external=EXTERNAL | {"stepCA": STEP_CA | {"url": url}},
        )
        for url in ("http://ca.example", "https://ca.example/1.0/sign", "https://u@ca.example", "ca.example:9000")
    ),
    *(
        authority(f"step-ca at {url}", external=EXTERNAL | {"stepCA": STEP_CA | {"url": url}})
        for url in ("https://ca", "https://10.0.0.7:9000", "https://[2001:db8::7]:9000")
    ),
    authority(
        "a CA elsewhere without its roots",
        "spec.external.caBundle: Required value",
        UNCHECKED,
        external=without(EXTERNAL, "caBundle"),
    ),
    authority(
        "a CA elsewhere that is asked in no way",
        ONE_WAY,
        external=without(EXTERNAL, "stepCA"),
    ),
    authority(
        "a CA elsewhere that is asked in two ways",
        ONE_WAY,
        external=EXTERNAL | {"certManager": {"issuerRef": ISSUER}},
    ),
    *(
        authority(
            f"step-ca without {name}",
            f"spec.external.stepCA.{name}: Required value",
            UNCHECKED,
            external=EXTERNAL | {"stepCA": without(STEP_CA, name)},
        )
        for name in STEP_CA
    ),
    *(
        step_ca(
            f"a provisioner without {name}",
            f"spec.external.stepCA.provisioner.{name}: Required value",
            UNCHECKED,
            provisioner=without(PROVISIONER, name),
        )
        for name in PROVISIONER
    ),
    step_ca("a long url", too_long("spec.external.stepCA.url", 512), UNCHECKED, url="https://" + "a" * 510),
    provisioner(
        "a provisioner without a name in it",
        'spec.external.stepCA.provisioner.name: Invalid value: "": spec.external.stepCA.provisioner.name in body '
        "should be at least 1 chars long",
        name="",
    ),
    provisioner(
        "a provisioner with a long name",
        too_long("spec.external.stepCA.provisioner.name", 253),
        UNCHECKED,
        name="a" * 254,
    ),
    provisioner(
        "a provisioner whose Secret has no name",
        "spec.external.stepCA.provisioner.secretRef.name: Required value",
        UNCHECKED,
        secretRef={},
    ),
    provisioner(
        "a provisioner whose Secret has a name that is none",
        refused("spec.external.stepCA.provisioner.secretRef.name", "Step", OBJECT_NAME),
        secretRef={"name": "Step"},
    ),
    provisioner(
        "a provisioner whose Secret has a long name",
        too_long("spec.external.stepCA.provisioner.secretRef.name", 253),
        UNCHECKED,
        secretRef={"name": "a" * 254},
    ),
    cert_manager("an Issuer of cert-manager"),
    cert_manager(
        "a ClusterIssuer of cert-manager, and a namespace",
        issuer={**ISSUER, "kind": "ClusterIssuer"},
        namespace="pki",
    ),
    cert_manager(
        "an issuer of an add-on",
        issuer={**ISSUER, "kind": "AWSPCAClusterIssuer", "group": "awspca.cert-manager.io"},
    ),
    cert_manager(
        "another kind of cert-manager's own",
        "spec.external.certManager.issuerRef: Invalid value: kind must be Issuer or ClusterIssuer where group is "
        "cert-manager.io",
        issuer={**ISSUER, "kind": "Certificate"},
    ),
    cert_manager(
        "a kind that is none",
        refused(
            "spec.external.certManager.issuerRef.kind",
            "issuers",
            "must be a kind in CamelCase, such as Issuer or ClusterIssuer",
        ),
        issuer={**ISSUER, "kind": "issuers", "group": "example.com"},
    ),
    cert_manager(
        "a group that is none",
        refused(
            "spec.external.certManager.issuerRef.group",
            "cert_manager",
            "must be an API group, such as cert-manager.io",
        ),
        issuer={**ISSUER, "group": "cert_manager"},
    ),
    cert_manager(
        "an issuer whose name is none",
        refused("spec.external.certManager.issuerRef.name", "Corporate", OBJECT_NAME),
        issuer={"name": "Corporate"},
    ),
    cert_manager(
        "an issuer without a name", "spec.external.certManager.issuerRef.name: Required value", UNCHECKED, issuer={}
    ),
    cert_manager(
        "an issuer with a long name",
        too_long("spec.external.certManager.issuerRef.name", 253),
        UNCHECKED,
        issuer={"name": "a" * 254},
    ),
    cert_manager(
        "an issuer of a long kind",
        too_long("spec.external.certManager.issuerRef.kind", 63),
        UNCHECKED,
        issuer={**ISSUER, "kind": "A" * 64},
    ),
    cert_manager(
        "an issuer of a long group",
        too_long("spec.external.certManager.issuerRef.group", 253),
        UNCHECKED,
        issuer={**ISSUER, "group": "a." * 127 + "a"},
    ),
    cert_manager(
        "a namespace that is none",
        refused(
            "spec.external.certManager.namespace",
            "a.b",
            "must be the name of a namespace: lower-case letters, digits and - with a letter or digit at both ends, "
            "such as mintls-system",
        ),
        namespace="a.b",
    ),
    cert_manager(
        "a long namespace", too_long("spec.external.certManager.namespace", 63), UNCHECKED, namespace="a" * 64
    ),
    authority(
        "cert-manager without an issuer",
        "spec.external.certManager.issuerRef: Required value",
        UNCHECKED,
        external={"caBundle": CERTIFICATE, "certManager": {}},
    ),
    authority(
        "a CA elsewhere that is asked in three ways",
        ONE_WAY,
        external=EXTERNAL | {"certManager": {"issuerRef": ISSUER}, "vault": VAULT},
    ),
    vault("Vault, and a service account"),
    vault(
        "Vault, and all that may be said",
        mount="team/pki",
        caBundle=CERTIFICATE,
        auth={
            "kubernetes": {"role": "mintls", "mount": "k8s/prod", "audience": "https://vault", "serviceAccount": "ca"}
        },
    ),
    vault("Vault, and a token", auth={"tokenSecretRef": {"name": "vault"}}),
    vault("Vault, and no login", ONE_AUTH, auth={}),
    vault("Vault, and two logins", ONE_AUTH, auth=KUBERNETES["auth"] | {"tokenSecretRef": {"name": "vault"}}),
    vault("Vault, and a login without a role", f"{LOGIN}.role: Required value", UNCHECKED, auth={"kubernetes": {}}),
    vault(
        "Vault at an address without TLS",
        refused(
            "spec.external.vault.url",
            "http://vault.example",
            "must be https:// with a host, and a port if it is not 443, and nothing after it, such as "
            "https://ca.example:9000",
        ),
        url="http://vault.example",
    ),
    vault("a long url of Vault", too_long("spec.external.vault.url", 512), UNCHECKED, url="https://" + "a" * 510),
    *(
        vault(f"a mount {mount}", refused("spec.external.vault.mount", mount, MOUNT), mount=mount)
        for mount in ("/pki", "pki/", "pki/../sys", "pki?x")
    ),
    vault("a long mount", too_long("spec.external.vault.mount", 253), UNCHECKED, mount="a" * 254),
    vault("a role of several parts", refused("spec.external.vault.role", "a/b", VAULT_NAME), role="a/b"),
    vault("a long role", too_long("spec.external.vault.role", 128), UNCHECKED, role="a" * 129),
    vault(
        "a bundle of Vault's server that is no certificate",
        refused(
            "spec.external.vault.caBundle",
            "roots",
            "must be certificates in PEM, from -----BEGIN CERTIFICATE----- on; a private key has no place here",
        ),
        caBundle="roots",
    ),
    vault(
        "a long bundle of Vault's server",
        too_long("spec.external.vault.caBundle", 8192),
        UNCHECKED,
        caBundle="x" * 8193,
    ),
    vault(
        "a token in a Secret whose name is none",
        refused("spec.external.vault.auth.tokenSecretRef.name", "Vault", OBJECT_NAME),
        auth={"tokenSecretRef": {"name": "Vault"}},
    ),
    vault(
        "a token in a Secret with a long name",
        too_long("spec.external.vault.auth.tokenSecretRef.name", 253),
        UNCHECKED,
        auth={"tokenSecretRef": {"name": "a" * 254}},
    ),
    vault(
        "a token in a Secret without a name",
        "spec.external.vault.auth.tokenSecretRef.name: Required value",
        UNCHECKED,
        auth={"tokenSecretRef": {}},
    ),
    login("a login as a role that is none", refused(f"{LOGIN}.role", "a/b", VAULT_NAME), role="a/b"),
    login("a login as a long role", too_long(f"{LOGIN}.role", 128), UNCHECKED, role="a" * 129),
    login("a login at a mount that is none", refused(f"{LOGIN}.mount", "/k8s", MOUNT), mount="/k8s"),
    login("a login at a long mount", too_long(f"{LOGIN}.mount", 253), UNCHECKED, mount="a" * 254),
    login(
        "a login for nobody",
        f'{LOGIN}.audience: Invalid value: "": {LOGIN}.audience in body should be at least 1 chars long',
        audience="",
    ),
    login("a login for a long audience", too_long(f"{LOGIN}.audience", 253), UNCHECKED, audience="a" * 254),
    login(
        "a login by an account that is none",
        refused(f"{LOGIN}.serviceAccount", "Vault", OBJECT_NAME),
        serviceAccount="Vault",
    ),
    login(
        "a login by an account with a long name",
        too_long(f"{LOGIN}.serviceAccount", 253),
        UNCHECKED,
        serviceAccount="a" * 254,
    ),
    *(
        authority(
            f"Vault without {name}",
            f"spec.external.vault.{name}: Required value",
            UNCHECKED,
            external={"caBundle": CERTIFICATE, "vault": without(VAULT, name)},
        )
        for name in VAULT
    ),
)
