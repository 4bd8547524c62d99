"""The trust bundle: made where it is needed, kept as it should be, taken away where it is not, and never another's."""

import pytest

from mintls.reconcile.trustbundle import Found, Observed, decide, manifest

OURS = {"app.kubernetes.io/managed-by": "mintls", "mintls.dev/component": "trust-bundle"}
GOOD = Found(OURS, {"ca.crt": "roots"})
OLD = Found(OURS, {"ca.crt": "old roots"})
EMPTY = Found(OURS, {})
WITH_MORE = Found(OURS | {"team": "a"}, {"ca.crt": "roots", "notes": "x"})
FOREIGN = Found({"app.kubernetes.io/managed-by": "helm"}, {"ca.crt": "roots"})
UNLABELLED = Found({}, {})


@pytest.mark.parametrize(
    ("needed", "found", "bundle", "decision"),
    [
        (True, None, "roots", "create"),
        (True, GOOD, "roots", "keep"),
        (True, WITH_MORE, "roots", "keep"),
        (True, OLD, "roots", "apply"),
        (True, EMPTY, "roots", "apply"),
        (True, FOREIGN, "roots", "foreign"),
        (True, UNLABELLED, "roots", "foreign"),
        # Without a root there is nothing to say; and what is there is not taken away because of it.
        (True, None, "", "keep"),
        (True, OLD, "", "keep"),
        (False, None, "roots", "keep"),
        (False, GOOD, "roots", "delete"),
        (False, OLD, "", "delete"),
        (False, FOREIGN, "roots", "keep"),
        (False, UNLABELLED, "", "keep"),
    ],
)
def test_what_to_do(*, needed: bool, found: Found | None, bundle: str, decision: str) -> None:
    assert decide(Observed("shop", needed, found, bundle)) == decision


def test_what_was_applied_is_kept() -> None:
    body = manifest("shop", "roots")
    metadata, data = body["metadata"], body["data"]
    assert isinstance(metadata, dict)
    assert isinstance(data, dict)
    assert decide(Observed("shop", True, Found(metadata["labels"], data), "roots")) == "keep"  # noqa: FBT003 - its place
    assert (metadata["namespace"], metadata["name"]) == ("shop", "mintls-trust-bundle")
