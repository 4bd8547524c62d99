"""What is signed for a service account, for how long, and what the others are told."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from builders import pki
from builders.objects import INSTALLATION, authority_view, registration
from builders.pki import DAY, HOUR, MINUTE, NOW
from mintls.core.oauth.claims import Contest
from mintls.core.pki.names import SubjectKind, SubjectName
from mintls.core.pki.origin import Origin
from mintls.reconcile.clienttable import Standing
from mintls.reconcile.credential import AuthorityView, Violation
from mintls.reconcile.reasons import Reason
from mintls.reconcile.servicerequest import CLIENT_ANNOTATION, Decision, Deny, Request, Sign, Wait, decide

REQUEST = Request("shop", "billing-app", "uid", pki.ec_key().public_key(), DAY, {})
BILLING = Standing(registration())
VIEW = authority_view()


def decided(
    request: Request = REQUEST, clients: Mapping[str, Standing] | None = None, view: AuthorityView | None = VIEW
) -> Decision:
    chosen = {"billing": BILLING} if clients is None else clients
    return decide(request, chosen, lambda _name: view, INSTALLATION, NOW)


def signed(**changes: Any) -> Sign:
    decision = decided(**changes)
    assert isinstance(decision, Sign), decision
    return decision


def test_the_names_are_the_client_s_and_the_origin_is_the_client() -> None:
    order = signed()
    assert order.names == (SubjectName(SubjectKind.SAN_URI, "spiffe://cluster.local/ns/shop/client/billing"),)
    assert order.origin == Origin("OAuthClient", BILLING.registration.uid)  # type: ignore[union-attr] # it has one
    assert (order.authority, order.client, order.subject) == (VIEW.name, ("shop", "billing"), None)


@pytest.mark.parametrize(
    ("longest", "most", "life"),
    [(2 * HOUR, 7 * DAY, 2 * HOUR), (90 * DAY, 7 * DAY, DAY), (DAY, 3 * HOUR, 3 * HOUR), (HOUR, DAY, HOUR)],
)
def test_it_lives_as_long_as_all_allow(longest: timedelta, most: timedelta, life: timedelta) -> None:
    order = signed(request=replace(REQUEST, longest=longest), view=replace(VIEW, max_duration=most))
    assert order.not_after - order.not_before == life
    assert order.not_before + 10 * MINUTE <= order.refresh <= order.not_after - 10 * MINUTE


def test_it_begins_no_earlier_than_the_api_server_takes() -> None:
    assert signed(view=replace(VIEW, backdate=HOUR)).not_before == NOW - 4 * MINUTE


@pytest.mark.parametrize(
    ("changes", "reason", "text"),
    [
        ({"clients": {}}, Reason.CLIENT_NOT_FOUND, "no OAuthClient in namespace shop"),
        ({"clients": {"a": BILLING, "b": BILLING}}, Reason.CLIENT_NOT_FOUND, "several OAuthClients (a, b)"),
        (
            {"request": replace(REQUEST, options={CLIENT_ANNOTATION: "other"})},
            Reason.CLIENT_NOT_FOUND,
            'there is no OAuthClient "other"',
        ),
        ({"clients": {"a": Standing(problem=Violation(Reason.INVALID_SPEC, "no"))}}, Reason.CLIENT_INVALID, "no"),
        (
            {"clients": {"a": replace(BILLING, contest=Contest("client id", ("store", "b")))}},
            Reason.CLIENT_INVALID,
            "another client holds",
        ),
        (
            {"clients": {"a": Standing(replace(registration(), subject=None))}},
            Reason.CLIENT_BRINGS_CERTIFICATE,
            "not by a certificate of an authority",
        ),
        ({"view": None}, Reason.AUTHORITY_NOT_READY, "there is none of that name"),
        ({"view": replace(VIEW, problem="the key is lost")}, Reason.AUTHORITY_NOT_READY, "the key is lost"),
        ({"view": replace(VIEW, max_duration=59 * MINUTE)}, Reason.DURATION_NOT_ALLOWED, "too short for Kubernetes"),
        ({"view": replace(VIEW, signs_until=NOW + 30 * MINUTE)}, Reason.DURATION_NOT_ALLOWED, "too short"),
    ],
)
def test_what_somebody_may_still_mend_waits(changes: dict[str, Any], reason: Reason, text: str) -> None:
    decision = decided(**changes)
    assert isinstance(decision, Wait)
    assert decision.reason == reason
    assert text in decision.message


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        (replace(REQUEST, key=None), "UnsupportedKeyType"),
        (replace(REQUEST, key=pki.rsa_key(1024).public_key()), "UnsupportedKeyType"),
        (replace(REQUEST, options={"example.com/a": "b"}), "UnknownAnnotation"),
        (replace(REQUEST, usages=frozenset({"client auth", "server auth"})), "UnsupportedUsages"),
    ],
)
def test_what_can_never_be_is_denied(request_: Request, reason: str) -> None:
    decision = decided(request_)
    assert isinstance(decision, Deny)
    assert decision.reason == reason


def test_a_ca_elsewhere_signs_for_none() -> None:
    elsewhere = replace(VIEW, signs_until=None, signs_under=VIEW.roots)
    decision = decided(view=elsewhere)
    assert isinstance(decision, Wait)
    assert "has its certificates from a CA elsewhere" in decision.message
