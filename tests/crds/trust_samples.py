"""``trustBundle`` of CertificateAuthorities."""

from typing import Any

from crds.sample import UNCHECKED, Sample, authority, refused, too_long, unsupported

SELECTORS = ("trustBundle", "allowedNames")
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"


def selecting(place: str, title: str, *errors: str, **selector: Any) -> Sample:
    holder = {"namespaceSelector": selector}
    spec = {"trustBundle": holder} if place == "trustBundle" else {"policy": {"allowedNames": [holder]}}
    return authority(f"{title} in {place}", *errors, **spec)


def selector_samples(place: str) -> tuple[Sample, ...]:
    path = "spec.trustBundle" if place == "trustBundle" else "spec.policy.allowedNames[0]"
    selector = f"{path}.namespaceSelector"
    return (
        *(
            selecting(
                place,
                f"a selector with {operator} {values}",
                f"{selector}.matchExpressions[0].values: Invalid value: values must be given with "
                "the operators In and NotIn, and left out with Exists and DoesNotExist",
                matchExpressions=[{"key": "a", "operator": operator} | values],
            )
            for operator, values in (("In", {}), ("NotIn", {"values": []}), ("Exists", {"values": ["b"]}))
        ),
        selecting(
            place,
            "too many conditions",
            f"{selector}.matchExpressions: Too many: 17: must have at most 16 items",
            UNCHECKED,
            matchExpressions=[{"key": "a", "operator": "Exists"}] * 17,
        ),
        selecting(
            place,
            "a condition without a key",
            f"{selector}.matchExpressions[0].key: Required value",
            UNCHECKED,
            matchExpressions=[{"operator": "Exists"}],
        ),
        selecting(
            place,
            "a condition without an operator",
            f"{selector}.matchExpressions[0].operator: Required value",
            UNCHECKED,
            matchExpressions=[{"key": "a"}],
        ),
        selecting(
            place,
            "another operator",
            unsupported(f"{selector}.matchExpressions[0].operator", "Gt", "DoesNotExist", "Exists", "In", "NotIn"),
            UNCHECKED,
            matchExpressions=[{"key": "a", "operator": "Gt"}],
        ),
    )


TRUST_BUNDLES = (
    authority("a bundle everywhere", trustBundle={"namespaceSelector": {}}),
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
    *(sample for place in SELECTORS for sample in selector_samples(place)),
)
