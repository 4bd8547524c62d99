"""Settings, error answers, the audit line, metrics, and how Kubernetes objects are read."""

import base64
import json
from typing import Any

import msgspec
import pytest

from builders.issuer import SETTINGS, server_certificate, signing_key_made
from builders.pki import NOW, authority
from mintls.core.oauth import errors as oauth_errors
from mintls.core.oauth.errors import (
    InvalidClient,
    InvalidClientMetadata,
    InvalidRequest,
    InvalidToken,
    OAuthError,
    Reason,
)
from mintls.core.oauth.signing_keys import encode_signing_keys
from mintls.core.pki.certificate import encode_pem
from mintls.core.pki.errors import CredentialBroken
from mintls.issuer import sources
from mintls.issuer.audit import Trail, audit_line
from mintls.issuer.errors import answer_error
from mintls.issuer.metrics import Metrics
from mintls.issuer.settings import InvalidSettings, Settings
from mintls.issuer.sources import SecretBroken

CA = authority()
REALM = "https://issuer.example"


class TestSettings:
    @pytest.mark.parametrize(
        "url",
        [
            "https://issuer",
            "https://issuer.svc:8443",
            "https://issuer/a/b",
            "https://10.0.0.1:8443/",
            "https://[::1]:8443",
        ],
    )
    def test_urls_that_rfc_8414_allows(self, url: str) -> None:
        assert Settings(issuer_url=url, mtls_url=url).issuer_url == url

    @pytest.mark.parametrize(
        "url", ["http://issuer", "https://issuer?x=1", "https://issuer#x", "issuer", "", "https://a b", 'https://i"']
    )
    def test_others_are_refused_by_name(self, url: str) -> None:
        with pytest.raises(InvalidSettings, match="mtls_url"):
            Settings(issuer_url="https://issuer", mtls_url=url)

    def test_the_operators_identity(self) -> None:
        settings = Settings("https://i", "https://m", trust_domain="example.org", operator_namespace="ops")
        assert settings.operator_identity == "spiffe://example.org/ns/ops/operator"


class TestErrors:
    def every(self) -> list[type[OAuthError]]:
        return [value for value in vars(oauth_errors).values() if _is_wire_error(value)]

    def test_every_error_has_a_status_and_a_body(self) -> None:
        assert len(self.every()) == 16
        for error in self.every():
            answer = answer_error(error(Reason.REPEATED_PARAMETER, "s3cret detail"), REALM, None)
            assert answer.status in {400, 401, 403, 503}
            assert json.loads(answer.body).keys() == {"error", "error_description"}
            # Whoever may register clients is told what is wrong with the metadata that they sent.
            assert (b"s3cret" in answer.body) == issubclass(error, InvalidClientMetadata)
            assert answer.headers["Cache-Control"] == "no-store"

    @pytest.mark.parametrize(
        ("authorization", "challenge"),
        [
            (None, f'TLS-Client-Certificate realm="{REALM}"'),
            ("Basic YTpi", f'Basic realm="{REALM}"'),
            ("bearer x", f'Bearer realm="{REALM}"'),
            ('X"\r\nSet-Cookie: a', f'TLS-Client-Certificate realm="{REALM}"'),
        ],
    )
    def test_a_401_has_a_challenge_of_our_own_words(self, authorization: str | None, challenge: str) -> None:
        answer = answer_error(InvalidClient(Reason.UNKNOWN_CLIENT), REALM, authorization)
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, challenge)

    def test_an_invalid_token_is_answered_as_rfc_6750_says(self) -> None:
        answer = answer_error(InvalidToken(Reason.NOT_THE_OPERATOR), REALM, None)
        assert answer.headers["WWW-Authenticate"] == f'Bearer realm="{REALM}", error="invalid_token"'

    @pytest.mark.parametrize(("reason", "status"), [(Reason.BODY_TOO_LARGE, 413), (Reason.BODY_TOO_SLOW, 408)])
    def test_what_http_has_a_status_for_gets_it_and_ends_the_connection(self, reason: Reason, status: int) -> None:
        answer = answer_error(InvalidRequest(reason), REALM, None)
        assert (answer.status, answer.closes) == (status, True)

    def test_an_error_in_a_log_shows_reason_and_detail_only(self) -> None:
        assert repr(InvalidClient(Reason.WRONG_NAME, "x")) == "InvalidClient(<Reason.WRONG_NAME: 'wrong_name'>, 'x')"


def _is_wire_error(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, OAuthError) and value is not OAuthError


def test_an_audit_line_is_one_line_whatever_the_caller_sends() -> None:
    line = audit_line(Trail(time=NOW, request_id="1", endpoint="token", client_id='a\n"b\u2028\x00'))
    assert line.count(b"\n") == 1
    assert json.loads(line)["clientId"] == 'a\n"b\u2028\x00'
    assert line.startswith(b'{"event":"audit",')


class TestMetrics:
    def test_two_issuers_do_not_share_counters(self) -> None:
        one, other = Metrics(), Metrics()
        one.count("token", "tls_client_auth", "ok", status=200, seconds=0.1)
        assert b'outcome="ok"' in one.render()
        assert b'outcome="ok"' not in other.render()

    def test_counting_again_adds(self) -> None:
        metrics = Metrics()
        for _ in range(3):
            metrics.count("token", "tls_client_auth", "ok", status=200, seconds=0.002)
        text = metrics.render().decode()
        labels = 'endpoint="token",method="tls_client_auth",outcome="ok"'
        assert f"mintls_issuer_requests_total{{{labels}}} 3.0" in text
        assert f"mintls_issuer_request_seconds_count{{{labels}}} 3.0" in text

    @pytest.mark.parametrize(
        ("status", "outcome"),
        [(200, "ok"), (304, "ok"), (401, "refused"), (429, "refused"), (500, "failed"), (503, "unavailable")],
    )
    def test_a_time_is_of_one_of_four_outcomes(self, status: int, outcome: str) -> None:
        metrics = Metrics()
        metrics.count("token", "", "whatever", status=status, seconds=0.0)
        labels = f'endpoint="token",method="none",outcome="{outcome}"'
        assert f"mintls_issuer_request_seconds_count{{{labels}}} 1.0" in metrics.render().decode()


def secret(**data: bytes) -> dict[str, Any]:
    return {"data": {key.replace("_", "."): base64.b64encode(value).decode() for key, value in data.items()}}


def authority_object(*keys: tuple[str, str]) -> dict[str, Any]:
    entries = [
        {
            "role": "active",
            "fingerprint": "f",
            "notAfter": "2030-01-01T00:00:00Z",
            "certificate": root,
            "intermediate": intermediate,
        }
        for root, intermediate in keys
    ]
    return {"metadata": {"name": "default"}, "spec": {}, "status": {"keys": entries}}


class TestObjects:
    def test_the_keys_of_an_authority(self) -> None:
        other = authority()
        anchors = sources._decode_authority(
            authority_object((CA.bundle, encode_pem(CA.intermediate).decode()), (other.bundle, ""))
        )
        assert anchors.roots == (CA.root, other.root)
        assert anchors.intermediates == (CA.intermediate,)

    def test_one_unreadable_key_does_not_take_the_others_away(self) -> None:
        assert sources._decode_authority(authority_object(("nonsense", ""), (CA.bundle, "x"))).roots == (CA.root,)

    def test_a_role_and_a_field_of_a_newer_operator_do_not_end_all_trust(self) -> None:
        item = authority_object((CA.bundle, ""))
        item["status"]["keys"][0] |= {"role": "resting", "notAfter": 7, "colour": "blue"}
        assert sources._decode_authority(item).roots == (CA.root,)

    def test_an_authority_without_status_has_no_keys(self) -> None:
        assert sources._decode_authority({"metadata": {"name": "default"}}).roots == ()

    def test_a_server_certificate(self) -> None:
        leaf = CA.server()
        read = sources._decode_server_certificate(secret(tls_crt=leaf.tls_crt, tls_key=leaf.tls_key))
        assert read == server_certificate(leaf)

    def test_signing_keys(self) -> None:
        key = signing_key_made()
        [read] = sources._decode_signing_keys(secret(keys_json=encode_signing_keys([key])))
        assert read.kid == key.kid

    @pytest.mark.parametrize(
        ("item", "word"),
        [
            ({}, "has no keys.json"),
            ({"data": None}, "has no keys.json"),
            ({"data": {"keys.json": "%%%"}}, "keys.json is not base64"),
            (secret(keys_json=b'{"keys":[]}'), "holds no key"),
        ],
    )
    def test_a_broken_secret_says_which_key(self, item: dict[str, Any], word: str) -> None:
        with pytest.raises(SecretBroken, match=word):
            sources._decode_signing_keys(item)

    def test_a_key_of_another_certificate_is_refused(self) -> None:
        with pytest.raises(CredentialBroken):
            sources._decode_server_certificate(secret(tls_crt=CA.server().tls_crt, tls_key=CA.server().tls_key))


def test_the_operator_and_the_issuer_agree_on_the_installation() -> None:
    assert SETTINGS.installation.issuer_url == SETTINGS.issuer_url
    assert msgspec.json.encode(SETTINGS.installation.token_endpoint) == b'"https://localhost:9443/token"'
