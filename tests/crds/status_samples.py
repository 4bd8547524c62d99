"""Statuses: only the operator writes them, so the API server's plain words do."""

from typing import Any

from crds.sample import REQUIRED, UNCHECKED, Json, Sample, quoted, too_long, unsupported

CONDITION = {
    "type": "Ready",
    "status": "True",
    "reason": "Issued",
    "message": "",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}
KEY = {"role": "active", "fingerprint": "ab", "notAfter": "2026-01-01T00:00:00Z", "certificate": "PEM"}
STATUSES: dict[str, Json] = {
    "OAuthClient": {
        "observedGeneration": 1,
        "conditions": [CONDITION, CONDITION | {"type": "Conflict", "status": "Unknown", "observedGeneration": 1}],
        "clientID": "shop:billing",
        "identity": {"type": "sanDNS", "value": "billing.shop.svc"},
        "certificates": [{"thumbprint": "x", "notAfter": "2026-01-01T00:00:00Z"}],
        "scopes": ["a"],
        "issuer": "https://issuer",
        "tokenEndpoint": "https://issuer/token",
    },
    "ClientCertificate": {
        "observedGeneration": 1,
        "conditions": [CONDITION],
        "serialNumber": "01",
        "notBefore": "2026-01-01T00:00:00Z",
        "notAfter": "2026-01-02T00:00:00Z",
        "renewalTime": "2026-01-01T16:00:00Z",
        "thumbprint": "x",
        "revision": 1,
        "secretResourceVersion": "7",
        "failedAttempts": 1,
        "lastFailureTime": "2026-01-01T00:00:00Z",
        "nextAttemptTime": "2026-01-01T00:00:00Z",
    },
    "CertificateAuthority": {
        "observedGeneration": 1,
        "conditions": [CONDITION],
        "keys": [
            KEY,
            KEY | {"fingerprint": "cd", "intermediate": "PEM", "intermediateNotAfter": "2026-01-01T00:00:00Z"},
        ],
        "rotation": {
            "phase": "Retiring",
            "message": "waits",
            "trustedSince": "2026-01-01T00:00:00Z",
            "switchedAt": "2026-01-01T00:00:00Z",
            "retireAt": "2026-01-01T00:00:00Z",
        },
        "observedRotateRequest": "now",
        "nextRotationTime": "2026-01-01T00:00:00Z",
    },
}


# After any of these the API server does not go on to CEL, and says so.
ENDS_CHECKING = ("Too long: ", "Required value", "Unsupported value: ", "must be of type")


def status(title: str, kind: str, *errors: str, **changes: Any) -> Sample:
    """A good object whose status is set."""
    ends = any(words in error for error in errors for words in ENDS_CHECKING)
    return Sample(f"status, {title}", kind, REQUIRED.get(kind, {}), (*errors, *[UNCHECKED] * ends), changes)


def in_body(path: str, value: Any, demand: str) -> str:
    shown = quoted(value) if isinstance(value, str) else value
    return f"{path}: Invalid value: {shown}: {path.removeprefix('status.')} in body {demand}"


def condition_statuses(kind: str) -> list[Sample]:
    def condition(title: str, *errors: str, **changes: Any) -> Sample:
        return status(title, kind, *errors, conditions=[CONDITION | changes])

    at = "status.conditions[0]"
    type_pattern, reason_pattern = "'^[A-Za-z][A-Za-z0-9]*$'", "'^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$'"
    whole = STATUSES[kind]
    return [
        status("everything", kind, **whole),
        status("nothing", kind),
        condition("bad type", in_body(f"{at}.type", "a b", f"should match {type_pattern}"), type="a b"),
        condition("long type", too_long(f"{at}.type", 316), type="a" * 317),
        condition("bad status", unsupported(f"{at}.status", "true", "False", "True", "Unknown"), status="true"),
        condition("bad reason", in_body(f"{at}.reason", "a b", f"should match {reason_pattern}"), reason="a b"),
        condition("no reason", in_body(f"{at}.reason", "", "should be at least 1 chars long"), reason=""),
        condition("long reason", too_long(f"{at}.reason", 1024), reason="a" * 1025),
        condition("long message", too_long(f"{at}.message", 32768), message="a" * 32769),
        condition(
            "bad time",
            in_body(f"{at}.lastTransitionTime", "now", 'must be of type date-time: "now"'),
            lastTransitionTime="now",
        ),
        condition(
            "negative generation",
            in_body(f"{at}.observedGeneration", -1, "should be greater than or equal to 0"),
            observedGeneration=-1,
        ),
        status(
            "negative generation of the whole",
            kind,
            in_body("status.observedGeneration", -2, "should be greater than or equal to -1"),
            observedGeneration=-2,
        ),
        status(
            "a type twice",
            kind,
            'status.conditions[1]: Duplicate value: {"type":"Ready"}',
            conditions=[CONDITION, CONDITION],
        ),
        status(
            "an empty condition",
            kind,
            *(f"{at}.{name}: Required value" for name in ("lastTransitionTime", "message", "reason", "status", "type")),
            conditions=[{}],
        ),
    ]


def bad_times(kind: str, *fields: str) -> Sample:
    errors = (in_body(f"status.{name}", "now", 'must be of type date-time: "now"') for name in fields)
    return status("bad times", kind, *errors, **dict.fromkeys(fields, "now"))


STATUS_SAMPLES = (
    *(sample for kind in STATUSES for sample in condition_statuses(kind)),
    status(
        "negative counts",
        "ClientCertificate",
        in_body("status.failedAttempts", -1, "should be greater than or equal to 0"),
        in_body("status.revision", -1, "should be greater than or equal to 0"),
        failedAttempts=-1,
        revision=-1,
    ),
    bad_times("ClientCertificate", "notBefore", "notAfter", "renewalTime", "lastFailureTime", "nextAttemptTime"),
    bad_times("CertificateAuthority", "nextRotationTime"),
    status(
        "a bad time of a certificate",
        "OAuthClient",
        in_body("status.certificates[0].notAfter", "now", 'must be of type date-time: "now"'),
        certificates=[{"thumbprint": "x", "notAfter": "now"}],
    ),
    status(
        "an empty certificate",
        "OAuthClient",
        *(f"status.certificates[0].{name}: Required value" for name in ("notAfter", "thumbprint")),
        certificates=[{}],
    ),
    status(
        "an unknown phase",
        "CertificateAuthority",
        unsupported("status.rotation.phase", "Waiting", "Preparing", "Reissuing", "Retiring"),
        rotation={"phase": "Waiting"},
    ),
    status("no phase", "CertificateAuthority", "status.rotation.phase: Required value", rotation={}),
    status(
        "bad times of a rotation",
        "CertificateAuthority",
        *(
            in_body(f"status.rotation.{name}", "now", 'must be of type date-time: "now"')
            for name in ("retireAt", "switchedAt", "trustedSince")
        ),
        rotation={"phase": "Retiring", "retireAt": "now", "switchedAt": "now", "trustedSince": "now"},
    ),
    status(
        "an unknown role",
        "CertificateAuthority",
        unsupported("status.keys[0].role", "old", "active", "next", "retiring"),
        keys=[KEY | {"role": "old"}],
    ),
    status(
        "bad times of a key",
        "CertificateAuthority",
        in_body("status.keys[0].notAfter", "now", 'must be of type date-time: "now"'),
        in_body("status.keys[0].intermediateNotAfter", "now", 'must be of type date-time: "now"'),
        keys=[KEY | {"notAfter": "now", "intermediateNotAfter": "now"}],
    ),
    status(
        "an empty key",
        "CertificateAuthority",
        *(f"status.keys[0].{name}: Required value" for name in ("certificate", "fingerprint", "notAfter", "role")),
        keys=[{}],
    ),
    status(
        "a key twice", "CertificateAuthority", 'status.keys[1]: Duplicate value: {"fingerprint":"ab"}', keys=[KEY, KEY]
    ),
    status(
        "an empty identity",
        "OAuthClient",
        *(f"status.identity.{name}: Required value" for name in ("type", "value")),
        identity={},
    ),
)
