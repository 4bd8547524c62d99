"""Durations and names of objects, which occur in several places."""

from crds.sample import REQUIRED, UNCHECKED, Sample, nested, refused, too_long

DURATION = "must be a duration in hours, minutes and seconds, such as 24h, 90m or 1h30m"
DURATION_OR_SHARE = (
    "must be a duration in hours, minutes and seconds, such as 8h or 1h30m, "
    "or a whole percentage from 1% to 99%, such as 33%"
)
OBJECT_NAME = (
    "must be the name of an object: lower-case letters, digits, - and . with a letter or digit at both ends, "
    "such as billing"
)

DURATION_FIELDS = (
    ("OAuthClient", "accessToken.lifetime"),
    ("ClientCertificate", "duration"),
    ("ClientCertificate", "renewBefore"),
    ("CertificateAuthority", "selfSigned.root.duration"),
    ("CertificateAuthority", "selfSigned.root.renewBefore"),
    ("CertificateAuthority", "selfSigned.root.trustBeforeUse"),
    ("CertificateAuthority", "selfSigned.root.reissueWithin"),
    ("CertificateAuthority", "selfSigned.intermediate.duration"),
    ("CertificateAuthority", "policy.minDuration"),
    ("CertificateAuthority", "policy.maxDuration"),
    ("CertificateAuthority", "policy.backdate"),
)
NO_DURATIONS = ("", "1d", "24", "0", "-1h", "+1h", "1.5h", "1h 30m", "30m1h", "h", "1H", "500ms", "1h\n", "1000000h")


def duration_samples() -> list[Sample]:
    made = []
    for kind, path in DURATION_FIELDS:
        required = REQUIRED.get(kind, {})
        message = DURATION_OR_SHARE if path.endswith("renewBefore") else DURATION
        made += [
            Sample(f"{path} {v!r}", kind, required | nested(path, v), (refused(f"spec.{path}", v, message),))
            for v in NO_DURATIONS
        ]
        too_many = (too_long(f"spec.{path}", 32), UNCHECKED)
        made.append(Sample(f"{path} too long", kind, required | nested(path, "1" * 32 + "h"), too_many))
        number = f'spec.{path}: Invalid value: "integer": spec.{path} in body must be of type string: "integer"'
        made.append(Sample(f"{path} as a number", kind, required | nested(path, 60), (number, UNCHECKED)))
    return made


# -- Names of objects --------------------------------------------------------------------------------------------------

NAME_FIELDS = (
    ("ClientCertificate", "secretName", "spec.secretName"),
    ("ClientCertificate", "clientRef.name", "spec.clientRef.name"),
    ("ClientCertificate", "authorityRef.name", "spec.authorityRef.name"),
    ("OAuthClient", "authorities", "spec.authorities[0].name"),
    ("OAuthClient", "serviceAccounts", "spec.serviceAccounts[0].name"),
    ("CertificateAuthority", "secretRef.name", "spec.secretRef.name"),
)


LISTS = ("authorities", "serviceAccounts")


def name_samples() -> list[Sample]:
    made = []
    for kind, path, error_path in NAME_FIELDS:
        for value in ("", "Billing", "a_b", "-a", "a-", "a..b", "ns/name", "ü"):
            spec = REQUIRED.get(kind, {}) | ({path: [{"name": value}]} if path in LISTS else nested(path, value))
            made.append(Sample(f"{path} {value!r}", kind, spec, (refused(error_path, value, OBJECT_NAME),)))
        long = REQUIRED.get(kind, {}) | ({path: [{"name": "a" * 254}]} if path in LISTS else nested(path, "a" * 254))
        made.append(Sample(f"{path} too long", kind, long, (too_long(error_path, 253), UNCHECKED)))
    return made
