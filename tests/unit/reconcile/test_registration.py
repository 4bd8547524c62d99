"""From an OAuthClient's spec to the registration in effect."""

from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import msgspec
import pytest

from builders import objects
from builders.objects import INSTALLATION
from builders.pki import self_signed_client
from mintls.api.v1alpha1 import OAuthClient
from mintls.core.durations import DurationError
from mintls.core.oauth.registration import Claim, Registration
from mintls.core.oauth.self_signed import jwks_of
from mintls.core.pki.names import SubjectKind, SubjectName, normalize
from mintls.reconcile.reasons import Reason
from mintls.reconcile.registration import RegistrationRefused, admit, registration_of, subject_of

METADATA = {
    "name": "billing",
    "namespace": "shop",
    "uid": "u1",
    "generation": 3,
    "creationTimestamp": "2026-01-01T12:00:00Z",
}


def client(metadata: dict[str, Any] | None = None, **spec: Any) -> OAuthClient:
    """An OAuthClient as the API server stores it."""
    return msgspec.convert({"metadata": METADATA | (metadata or {}), "spec": spec}, OAuthClient)


def test_an_empty_spec_is_a_registration_with_every_default_resolved() -> None:
    assert registration_of(client(), "cluster.local") == Registration(
        namespace="shop",
        name="billing",
        uid="u1",
        generation=3,
        created=datetime(2026, 1, 1, 12, tzinfo=UTC),
        client_id="shop:billing",
        client_name="",
        token_endpoint_auth_method="tls_client_auth",
        subject=SubjectName(SubjectKind.SAN_URI, "spiffe://cluster.local/ns/shop/client/billing"),
        certificates=(),
        authorities=("default",),
        grant_types=("client_credentials",),
        scopes=(),
        default_scopes=(),
        audiences=(),
        access_token_lifetime=timedelta(minutes=10),
        certificate_bound=True,
        suspended=False,
        tokens_not_before=None,
    )


@pytest.mark.parametrize(
    ("spec", "attribute", "expected"),
    [
        ({"clientID": "billing"}, "client_id", "billing"),
        ({"clientName": "Billing"}, "client_name", "Billing"),
        ({"authorities": [{"name": "b"}, {"name": "a"}]}, "authorities", ("b", "a")),
        ({"authorities": [{}]}, "authorities", ("default",)),
        ({"scopes": ["b", "a"]}, "scopes", ("b", "a")),
        ({"scopes": ["b", "a"]}, "default_scopes", ("b", "a")),
        ({"scopes": ["b", "a"], "defaultScopes": ["a"]}, "default_scopes", ("a",)),
        ({"scopes": ["b", "a"], "defaultScopes": []}, "default_scopes", ()),
        ({"audiences": ["https://a"]}, "audiences", ("https://a",)),
        ({"accessToken": {"lifetime": "1h30m"}}, "access_token_lifetime", timedelta(minutes=90)),
        ({"accessToken": {"claims": {"b": "2", "a": "1"}}}, "extra_claims", (("a", "1"), ("b", "2"))),
        ({"accessToken": {"endsWithCertificate": False}}, "ends_with_certificate", False),
        ({"tlsClientCertificateBoundAccessTokens": False}, "certificate_bound", False),
        ({"dpopBoundAccessTokens": True}, "dpop_bound", True),
        ({"suspended": True}, "suspended", True),
        ({"tokensNotBefore": "2026-01-01T01:00:00+01:00"}, "tokens_not_before", datetime(2026, 1, 1, tzinfo=UTC)),
    ],
)
def test_what_the_spec_says_is_in_effect(spec: dict[str, Any], attribute: str, expected: object) -> None:
    assert getattr(registration_of(client(**spec), "cluster.local"), attribute) == expected


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("subjectDN", "CN=billing,O=Shop"),
        ("sanDNS", "billing.shop.svc"),
        ("sanURI", "spiffe://example.org/billing"),
        ("sanIP", "10.0.0.7"),
        ("sanEmail", "billing@shop.example"),
    ],
)
def test_the_stated_subject_is_the_identity(kind: str, value: str) -> None:
    subject = subject_of(client(tlsClientAuth={kind: value}), "cluster.local")
    assert subject == SubjectName(SubjectKind(kind), value)


def test_the_default_identity_lies_in_the_trust_domain_and_the_clients_own_namespace() -> None:
    subject = subject_of(client({"namespace": "a", "name": "b"}), "example.org")
    assert subject == SubjectName(SubjectKind.SAN_URI, "spiffe://example.org/ns/a/client/b")


class TestSelfSigned:
    OWN, NEXT = self_signed_client(), self_signed_client()
    METHOD: ClassVar[dict[str, Any]] = {"tokenEndpointAuthMethod": "self_signed_tls_client_auth"}

    def test_the_certificates_are_registered_and_no_name(self) -> None:
        pems = [leaf.tls_crt.decode() for leaf in (self.OWN, self.NEXT)]
        effective = registration_of(client(**self.METHOD, certificates=pems), "cluster.local")
        assert effective.token_endpoint_auth_method == "self_signed_tls_client_auth"
        assert effective.subject is None
        assert effective.certificates == (self.OWN.certificate, self.NEXT.certificate)

    def test_so_they_are_from_a_jwk_set(self) -> None:
        jwks = jwks_of([self.OWN.certificate, self.NEXT.certificate])
        effective = registration_of(client(**self.METHOD, jwks=jwks), "cluster.local")
        assert effective.certificates == (self.OWN.certificate, self.NEXT.certificate)

    def test_with_the_other_method_they_count_for_nothing(self) -> None:
        """The schema refuses both together; an object from before it did must not gain a way in."""
        effective = registration_of(client(certificates=[self.OWN.tls_crt.decode()]), "cluster.local")
        assert effective.certificates == ()
        assert effective.subject is not None

    @pytest.mark.parametrize(
        ("spec", "words"),
        [
            ({"certificates": ["PEM"]}, "spec.certificates[0] cannot be read"),
            ({"jwks": {"keys": [{"kty": "EC", "x5c": ["AAAA"]}]}}, "spec.jwks.keys[0].x5c[0] is not"),
            ({}, "spec.certificates and spec.jwks are empty"),
        ],
    )
    def test_a_certificate_that_cannot_be_used_is_an_invalid_spec(self, spec: dict[str, Any], words: str) -> None:
        with pytest.raises(RegistrationRefused) as refused:
            admit(client(**self.METHOD, **spec), INSTALLATION)
        assert refused.value.violation.reason == Reason.INVALID_SPEC
        assert words in refused.value.violation.message


def test_a_claim_of_the_issuers_own_is_refused_where_an_older_schema_let_it_in() -> None:
    with pytest.raises(RegistrationRefused) as refused:
        admit(client(accessToken={"claims": {"sub": "admin"}}), INSTALLATION)
    assert refused.value.violation.reason == Reason.INVALID_SPEC
    assert "spec.accessToken.claims has 'sub'" in refused.value.violation.message


def test_a_lifetime_that_is_none_is_refused_where_an_older_schema_let_it_in() -> None:
    with pytest.raises(DurationError, match="1d"):
        registration_of(client(accessToken={"lifetime": "1d"}), "cluster.local")


class TestWhatIsHeld:
    """By the status, see ``core/oauth/claims.py``."""

    identity: ClassVar = {"type": "sanDNS", "value": "billing.shop.svc"}
    conflict: ClassVar = {
        "type": "Conflict",
        "status": "True",
        "reason": "IdentityTaken",
        "message": "",
        "lastTransitionTime": "2026-01-01T12:00:00Z",
    }

    def held(self, **status: Any) -> set[Claim]:
        return set(registration_of(objects.client(status=status), "cluster.local").held)

    def test_is_what_the_status_shows(self) -> None:
        thumbprints = [{"thumbprint": "abc", "notAfter": "2027-01-01T00:00:00Z"}]
        name = normalize(SubjectName(SubjectKind.SAN_DNS, "billing.shop.svc"))
        assert self.held(clientID="web", identity=self.identity, certificates=thumbprints) == {
            ("clientID", "web"),
            ("identity", name),
            ("certificate", "abc"),
        }

    def test_is_nothing_before_there_is_a_status_or_in_a_conflict(self) -> None:
        assert self.held() == frozenset()
        assert self.held(clientID="web", identity=self.identity, conditions=[self.conflict]) == frozenset()

    @pytest.mark.parametrize("identity", [{"type": "sanFax", "value": "1"}, {"type": "sanIP", "value": "no address"}])
    def test_leaves_out_what_somebody_else_has_written_there(self, identity: dict[str, str]) -> None:
        assert self.held(clientID="web", identity=identity) == {("clientID", "web")}
