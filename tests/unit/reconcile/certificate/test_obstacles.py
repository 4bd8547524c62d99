"""What keeps a ClientCertificate from having a certificate: which of several is named first, and in which words."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from builders.objects import authority_view, certificate, observed, registration, secret_view
from builders.pki import self_signed_client
from mintls.core.oauth.claims import Contest
from mintls.reconcile.certificate.decide import decide
from mintls.reconcile.certificate.obstacles import first_obstacle
from mintls.reconcile.certificate.values import Blocked, Issue, Observed
from mintls.reconcile.reasons import Reason


def never_ready(problem: str = "its root is not made yet") -> Any:
    return replace(authority_view(), root=None, fingerprint="", bundle="", problem=problem)


OBSTACLES: dict[str, tuple[Observed, Reason, bool, tuple[str, ...]]] = {
    "there is no client": (
        observed(registration=None),
        Reason.CLIENT_NOT_FOUND,
        False,
        ('OAuthClient "billing"', "namespace shop", "create it, or correct spec.clientRef.name"),
    ),
    "the client cannot be registered": (
        observed(registration=None, client_problem="sanURI x is another's"),
        Reason.CLIENT_INVALID,
        True,
        ('OAuthClient "billing"', "sanURI x is another's"),
    ),
    "another client holds its identity": (
        observed(contest=Contest("identity", ("shop", "first"))),
        Reason.CLIENT_IN_CONFLICT,
        True,
        ("the identity of OAuthClient", '"billing"', "see the conditions of the OAuthClient"),
    ),
    "another client holds its client id": (
        observed(contest=Contest("clientID", ("shop", "first"))),
        Reason.CLIENT_IN_CONFLICT,
        True,
        ("the clientID of OAuthClient",),
    ),
    "the client brings its own certificates": (
        observed(
            registration=registration(
                tokenEndpointAuthMethod="self_signed_tls_client_auth",
                certificates=[self_signed_client().tls_crt.decode()],
            )
        ),
        Reason.CLIENT_BRINGS_CERTIFICATE,
        True,
        ('OAuthClient "billing"', "self-signed certificates", "delete this ClientCertificate, or set"),
    ),
    "the duration is none": (
        observed(certificate(spec={"duration": "1 day"})),
        Reason.INVALID_SPEC,
        True,
        ("spec.duration", "'1 day'"),
    ),
    "renewBefore is none": (
        observed(certificate(spec={"renewBefore": "a while"})),
        Reason.INVALID_SPEC,
        True,
        ("spec.renewBefore", "'a while'"),
    ),
    "no such key is made": (
        observed(certificate(spec={"privateKey": {"algorithm": "ECDSA", "size": 521}})),
        Reason.INVALID_SPEC,
        True,
        ("spec.privateKey", "size 521", "256 or 384"),
    ),
    "a DNS name of another namespace": (
        observed(certificate(spec={"dnsNames": ["billing.shop.svc", "db.bank.svc"]})),
        Reason.NAME_NOT_ALLOWED,
        True,
        ("spec.dnsNames db.bank.svc", "namespace shop", "<service>.shop.svc"),
    ),
    "a DNS name that is none": (
        observed(certificate(spec={"dnsNames": ["*.shop.svc"]})),
        Reason.NAME_NOT_ALLOWED,
        True,
        ("spec.dnsNames", "'*.shop.svc'", "no wildcard"),
    ),
    "there is no authority": (
        observed(authority=None),
        Reason.AUTHORITY_NOT_FOUND,
        False,
        ('CertificateAuthority "default"', "create it, or correct spec.authorityRef.name"),
    ),
    "the authority never had a root": (
        observed(authority=never_ready()),
        Reason.AUTHORITY_NOT_READY,
        False,
        ('CertificateAuthority "default"', "its root is not made yet"),
    ),
    "the duration is too long for the authority": (
        observed(certificate(spec={"duration": "169h"})),
        Reason.DURATION_NOT_ALLOWED,
        True,
        ("spec.duration 169h", 'CertificateAuthority "default"', "from 1m to 168h"),
    ),
    "the duration is too short for the authority": (
        observed(authority=replace(authority_view(), min_duration=timedelta(hours=48))),
        Reason.DURATION_NOT_ALLOWED,
        True,
        ("spec.duration 24h", "from 48h to 168h"),
    ),
    "an earlier certificate writes to the Secret": (
        observed(rival="first"),
        Reason.SECRET_CLAIMED,
        True,
        ('ClientCertificate "first"', 'Secret "billing-mtls"', "give each its own spec.secretName"),
    ),
    "the Secret is somebody else's": (
        observed(secret=secret_view(owner="uid-of-another")),
        Reason.SECRET_NOT_OWNED,
        True,
        ('Secret "billing-mtls"', "left as it is", "delete it"),
    ),
}


@pytest.mark.parametrize("name", OBSTACLES)
def test_an_obstacle_says_what_is_in_the_way_and_what_to_do(name: str) -> None:
    seen, reason, stalled, words = OBSTACLES[name]
    blocked = first_obstacle(seen)
    assert blocked is not None
    assert (blocked.violation.reason, blocked.stalled) == (reason, stalled)
    for word in words:
        assert word in blocked.violation.message


@pytest.mark.parametrize("name", OBSTACLES)
def test_whatever_is_in_the_way_nothing_is_issued(name: str) -> None:
    assert isinstance(decide(OBSTACLES[name][0]), Blocked)


def test_nothing_is_in_the_way_of_the_two_smallest_objects() -> None:
    assert first_obstacle(observed()) is None
    assert isinstance(decide(observed()), Issue)


IN_ORDER: tuple[tuple[Reason, dict[str, Any]], ...] = (
    (Reason.CLIENT_NOT_FOUND, {"registration": None}),
    (Reason.CLIENT_IN_CONFLICT, {"contest": Contest("identity", ("shop", "first"))}),
    (
        Reason.INVALID_SPEC,
        {"certificate": certificate(spec={"duration": "?", "dnsNames": ["db.bank.svc"]})},
    ),
    (Reason.AUTHORITY_NOT_FOUND, {"authority": None}),
    (Reason.NAME_NOT_ALLOWED, {"certificate": certificate(spec={"dnsNames": ["db.bank.svc"], "duration": "999h"})}),
    (Reason.DURATION_NOT_ALLOWED, {"certificate": certificate(spec={"duration": "999h"})}),
    (Reason.SECRET_CLAIMED, {"rival": "first"}),
    (Reason.SECRET_NOT_OWNED, {"secret": secret_view(owner="another")}),
)


@pytest.mark.parametrize("first", range(len(IN_ORDER)))
def test_of_several_obstacles_the_first_is_named(first: int) -> None:
    """What lies with the client comes first, then the spec, then what the authority allows, and the Secret is last."""
    changes: dict[str, Any] = {}
    for _, change in reversed(IN_ORDER[first:]):
        changes |= change
    blocked = first_obstacle(observed(**{"item": changes.pop("certificate", None), **changes}))
    assert blocked is not None
    assert blocked.violation.reason == IN_ORDER[first][0]


def test_a_secret_that_another_object_of_the_same_name_left_behind_is_not_ours() -> None:
    """Deleted and made again: the old Secret belongs to the old uid, and is collected with it."""
    recreated = certificate(uid="uid-of-the-second")
    blocked = first_obstacle(observed(recreated, secret=secret_view(owner="uid-shop-billing")))
    assert blocked is not None
    assert blocked.violation.reason == Reason.SECRET_NOT_OWNED


def test_limits_of_the_authority_are_inclusive() -> None:
    day = replace(authority_view(), min_duration=timedelta(hours=24), max_duration=timedelta(hours=24))
    assert first_obstacle(observed(authority=day)) is None


def test_a_certificate_for_a_client_with_an_own_name_is_not_blocked_by_it() -> None:
    own = registration(tlsClientAuth={"sanDNS": "billing.shop.svc"})
    assert first_obstacle(observed(registration=own)) is None
