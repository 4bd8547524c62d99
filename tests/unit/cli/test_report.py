"""What people are told of objects."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mintls.cli.people.report import State, as_text, line_of

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)


def an_object(*conditions: tuple[str, str, str], kind: str = "ClientCertificate", **status: Any) -> dict[str, Any]:
    """An object whose conditions are (type, status, reason)."""
    told = [
        {"type": type_, "status": value, "reason": reason, "message": f"{reason}!"}
        for type_, value, reason in conditions
    ]
    return {
        "kind": kind,
        "metadata": {"name": "billing", "namespace": "shop", "generation": 2},
        "status": {"observedGeneration": 2, "conditions": told, **status},
    }


@pytest.mark.parametrize(
    ("item", "state", "reason"),
    [
        (an_object(("Ready", "True", "Issued"), renewalTime="2026-11-27T20:00:00Z"), State.OK, "Issued"),
        (
            an_object(("Ready", "False", "AuthorityNotReady"), ("Reconciling", "True", "x")),
            State.WAITING,
            "AuthorityNotReady",
        ),
        (an_object(("Ready", "False", "SecretNotOwned"), ("Stalled", "True", "x")), State.WRONG, "SecretNotOwned"),
        (
            an_object(("Ready", "True", "Issued"), ("Issuing", "True", "AuthorityNotReady")),
            State.WRONG,
            "AuthorityNotReady",
        ),
        (an_object(("Ready", "True", "Issued"), observedGeneration=1), State.WAITING, "NotObserved"),
        (an_object(observedGeneration=-1), State.WAITING, "NotObserved"),
        (an_object(("Ready", "True", "Issued"), renewalTime="2026-11-27T11:00:00Z"), State.WRONG, "Overdue"),
        (an_object(("Ready", "True", "Issued"), renewalTime="2026-11-27T11:58:00Z"), State.OK, "Issued"),
        (an_object(("Ready", "True", "Available"), kind="CertificateAuthority"), State.OK, "Available"),
        (
            an_object(
                ("Ready", "True", "Available"),
                ("BundlesMissing", "True", "BundleNotOwned"),
                kind="CertificateAuthority",
            ),
            State.WRONG,
            "BundleNotOwned",
        ),
    ],
)
def test_the_state_of_an_object(item: dict[str, Any], state: State, reason: str) -> None:
    line = line_of(item, NOW)
    assert (line.state, line.reason) == (state, reason)


def test_what_is_stalled_has_no_renewal_to_come() -> None:
    revoked = an_object(("Ready", "False", "Revoked"), ("Stalled", "True", "x"), renewalTime="2026-11-27T20:00:00Z")
    assert line_of(revoked, NOW).due == ""


def test_a_person_reads_what_is_wrong_below_the_table() -> None:
    well = an_object(("Ready", "True", "Issued"), renewalTime="2026-11-27T20:00:00Z")
    wrong = an_object(("Ready", "False", "SecretNotOwned"), ("Stalled", "True", "x"))
    assert as_text([line_of(well, NOW), line_of(wrong, NOW)], NOW).splitlines() == [
        "ok      ClientCertificate shop/billing  Issued          renewal in 8 h",
        "wrong   ClientCertificate shop/billing  SecretNotOwned",
        "",
        "ClientCertificate shop/billing: SecretNotOwned!",
    ]


def test_where_there_is_nothing_that_is_said() -> None:
    assert as_text([], NOW + timedelta()) == "There is no CertificateAuthority, OAuthClient or ClientCertificate here."
