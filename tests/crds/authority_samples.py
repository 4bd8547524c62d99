"""CertificateAuthorities."""

from crds.name_samples import DURATION_OR_SHARE
from crds.sample import UNCHECKED, Sample, authority, refused, unsupported

SIZE = "Invalid value: size must be 256 or 384 for ECDSA, 2048, 3072 or 4096 for RSA, and left out for Ed25519"

AUTHORITIES = (
    authority("nothing said"),
    authority(
        "everything said",
        selfSigned={
            "root": {"duration": "10h", "renewBefore": "5h", "trustBeforeUse": "0s", "reissueWithin": "0s"},
            "intermediate": {"duration": "1h"},
            "privateKey": {"algorithm": "RSA", "size": 4096},
        },
        policy={"minDuration": "1h", "maxDuration": "1h", "backdate": "0s"},
        trustBundle={
            "namespaceSelector": {
                "matchLabels": {"team": "blue"},
                "matchExpressions": [
                    {"key": "stage", "operator": "In", "values": ["test", "live"]},
                    {"key": "legacy", "operator": "DoesNotExist"},
                ],
            },
            "additionalCertificates": ["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"],
            "keystores": ["JKS", "PKCS12"],
        },
    ),
    authority("parts left empty", selfSigned={"root": {}, "intermediate": {}, "privateKey": {}}, policy={}),
    authority("the longest duration", selfSigned={"root": {"duration": "999999h9999999m999999999s"}}),
    authority("algorithms of keys", policy={"keyAlgorithms": ["ECDSA", "Ed25519"]}),
    authority(
        "an algorithm of keys twice",
        'spec.policy.keyAlgorithms[1]: Duplicate value: "RSA"',
        policy={"keyAlgorithms": ["RSA", "RSA"]},
    ),
    authority(
        "another algorithm of keys",
        unsupported("spec.policy.keyAlgorithms[0]", "DSA", "ECDSA", "Ed25519", "RSA"),
        UNCHECKED,
        policy={"keyAlgorithms": ["DSA"]},
    ),
    authority("a CA of one's own", secretRef={"name": "corporate-ca"}),
    authority(
        "two sources",
        "spec: Invalid value: selfSigned and secretRef are two sources of certificates: leave one of them out",
        selfSigned={},
        secretRef={"name": "corporate-ca"},
    ),
    authority("a source without a name", "spec.secretRef.name: Required value", UNCHECKED, secretRef={}),
    Sample(
        "a long name",
        "CertificateAuthority",
        {},
        ("<nil>: Invalid value: metadata.name must have at most 63 characters: Secrets are named after it",),
        name="a" * 64,
    ),
    Sample("the longest name", "CertificateAuthority", {}, name="a" * 63),
    *(
        authority(
            f"intermediate {intermediate} of root {root}",
            "spec.selfSigned.intermediate.duration: Invalid value: intermediate.duration must be shorter than "
            "root.duration: no certificate outlives the one that signed it",
            selfSigned={"root": {"duration": root}, "intermediate": {"duration": intermediate}},
        )
        for intermediate, root in (("2h", "1h"), ("60m", "1h"))
    ),
    authority(
        "shortest longer than longest",
        "spec.policy.minDuration: Invalid value: minDuration must not be longer than maxDuration",
        policy={"minDuration": "169h"},
    ),
    authority(
        "an intermediate too short",
        refused("spec.selfSigned.intermediate.duration", "599s", "must be at least 10m"),
        selfSigned={"intermediate": {"duration": "599s"}},
    ),
    authority(
        "a shortest leaf too short",
        refused("spec.policy.minDuration", "59s", "must be at least 1m"),
        policy={"minDuration": "59s"},
    ),
    authority(
        "a root too short",
        refused("spec.selfSigned.root.duration", "59m", "must be at least 1h"),
        selfSigned={"root": {"duration": "59m"}, "intermediate": {"duration": "10m"}},
    ),
    authority(
        "a root replaced too late",
        refused("spec.selfSigned.root.renewBefore", "599s", "must be at least 10m"),
        selfSigned={"root": {"renewBefore": "599s"}},
    ),
    *(
        authority(
            f"a root's renewBefore {value!r}",
            refused("spec.selfSigned.root.renewBefore", value, DURATION_OR_SHARE),
            selfSigned={"root": {"renewBefore": value}},
        )
        for value in ("100%", "0%", "1.5%")
    ),
    authority(
        "a longest leaf too short",
        refused("spec.policy.maxDuration", "59s", "must be at least 1m"),
        refused("spec.policy.minDuration", "59s", "must be at least 1m"),
        policy={"minDuration": "59s", "maxDuration": "59s"},
    ),
    authority(
        "another algorithm",
        unsupported("spec.selfSigned.privateKey.algorithm", "DSA", "ECDSA", "Ed25519", "RSA"),
        UNCHECKED,
        selfSigned={"privateKey": {"algorithm": "DSA"}},
    ),
    authority("size", f"spec.selfSigned.privateKey.size: {SIZE}", selfSigned={"privateKey": {"size": 521}}),
)
