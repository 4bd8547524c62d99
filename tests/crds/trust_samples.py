"""``trustBundle`` of CertificateAuthorities."""

from typing import Any

from crds.sample import UNCHECKED, Sample, authority, refused, too_long, unsupported

SELECTOR = "spec.trustBundle.namespaceSelector"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


def selecting(title: str, *errors: str, **selector: Any) -> Sample:
    return authority(title, *errors, trustBundle={"namespaceSelector": selector})


TRUST_BUNDLES = (
    authority("a bundle everywhere", trustBundle={"namespaceSelector": {}}),
    *(
        authority(
            f"a selector with {operator} {values}",
            "spec.trustBundle.namespaceSelector.matchExpressions[0].values: Invalid value: values must be given with "
            "the operators In and NotIn, and left out with Exists and DoesNotExist",
            trustBundle={"namespaceSelector": {"matchExpressions": [{"key": "a", "operator": operator} | values]}},
        )
        for operator, values in (("In", {}), ("NotIn", {"values": []}), ("Exists", {"values": ["b"]}))
    ),
    authority(
        "a further CA that is no certificate",
        refused(
            "spec.trustBundle.additionalCertificates[0]",
            "roots",
            "must be one certificate in PEM and nothing else, from -----BEGIN CERTIFICATE----- to "
            "-----END CERTIFICATE-----; several certificates are several items, and a private key has no place here",
        ),
        trustBundle={"additionalCertificates": ["roots"]},
    ),
    authority(
        "too many further CAs",
        "spec.trustBundle.additionalCertificates: Too many: 33: must have at most 32 items",
        UNCHECKED,
        trustBundle={"additionalCertificates": [CERTIFICATE] * 33},
    ),
    authority(
        "a further CA too long",
        too_long("spec.trustBundle.additionalCertificates[0]", 8192),
        UNCHECKED,
        trustBundle={"additionalCertificates": ["x" * 8193]},
    ),
    authority(
        "another keystore",
        unsupported("spec.trustBundle.keystores[0]", "BCFKS", "JKS", "PKCS12"),
        UNCHECKED,
        trustBundle={"keystores": ["BCFKS"]},
    ),
    authority(
        "a keystore twice",
        'spec.trustBundle.keystores[1]: Duplicate value: "JKS"',
        trustBundle={"keystores": ["JKS", "JKS"]},
    ),
    selecting(
        "too many conditions",
        f"{SELECTOR}.matchExpressions: Too many: 17: must have at most 16 items",
        UNCHECKED,
        matchExpressions=[{"key": "a", "operator": "Exists"}] * 17,
    ),
    selecting(
        "a condition without a key",
        f"{SELECTOR}.matchExpressions[0].key: Required value",
        UNCHECKED,
        matchExpressions=[{"operator": "Exists"}],
    ),
    selecting(
        "a condition without an operator",
        f"{SELECTOR}.matchExpressions[0].operator: Required value",
        UNCHECKED,
        matchExpressions=[{"key": "a"}],
    ),
    selecting(
        "another operator",
        unsupported(f"{SELECTOR}.matchExpressions[0].operator", "Gt", "DoesNotExist", "Exists", "In", "NotIn"),
        UNCHECKED,
        matchExpressions=[{"key": "a", "operator": "Gt"}],
    ),
)
