"""Spent identifiers: only the issuer writes them, so the API server's plain words do."""

from typing import Any

from crds.sample import REQUIRED, UNCHECKED, Json, Sample, unsupported

GOOD = REQUIRED["SpentIdentifier"]


def spent(title: str, *errors: str, **changes: Any) -> Sample:
    """One with what is required; ``None`` leaves a field out."""
    spec: Json = {name: value for name, value in (GOOD | changes).items() if value is not None}
    return Sample(title, "SpentIdentifier", spec, errors)


SPENT = (
    spent("a revoked token"),
    spent("a used assertion", use="clientAssertion"),
    spent("a used proof", use="dpopProof"),
    spent(
        "for another use",
        unsupported("spec.use", "cookie", "accessToken", "clientAssertion", "dpopProof"),
        UNCHECKED,
        use="cookie",
    ),
    spent("without a use", "spec.use: Required value", UNCHECKED, use=None),
    spent("without a client", "spec.clientID: Required value", UNCHECKED, clientID=None),
    spent("without an end", "spec.expires: Required value", UNCHECKED, expires=None),
    spent(
        "with no time as its end",
        'spec.expires: Invalid value: "soon": spec.expires in body must be of type date-time: "soon"',
        UNCHECKED,
        expires="soon",
    ),
    Sample("without a spec", "SpentIdentifier", None, ("spec: Required value", UNCHECKED)),
    Sample(
        "made good again",
        "SpentIdentifier",
        GOOD | {"expires": "2025-01-01T00:00:00Z"},
        ("spec: Invalid value: spec cannot change: what is spent stays spent until it has expired",),
        before=GOOD,
    ),
)
