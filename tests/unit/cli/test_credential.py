"""What is said of a credential's Secret."""

import base64
from datetime import timedelta
from typing import Any

import pytest

from builders import pki
from mintls.cli.people.credential import Finding, findings_of, findings_of_certificate
from mintls.core.pki.certificate import encode_pem, thumbprint
from mintls.core.pki.keys import encode_private_key

NOW = pki.NOW
AUTHORITY = pki.authority("mine")
LEAF = AUTHORITY.client()


def secret(**files: bytes) -> dict[str, Any]:
    whole = {
        "tls.crt": LEAF.tls_crt,
        "tls.key": LEAF.tls_key,
        "ca.crt": encode_pem(AUTHORITY.root),
    } | {name.replace("_", "."): content for name, content in files.items()}
    return {"data": {name: base64.b64encode(content).decode() for name, content in whole.items()}}


def certificate(**status: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "billing", "namespace": "shop"},
        "spec": {"clientRef": {"name": "billing"}, "secretName": "billing-mtls"},
        "status": {"thumbprint": thumbprint(LEAF.certificate), "serialNumber": "1"} | status,
    }


def client(**spec: Any) -> dict[str, Any]:
    ready = {"type": "Ready", "status": "True", "reason": "Registered"}
    identity = {"type": "sanURI", "value": pki.CLIENT_ID}
    meta = {"name": "billing", "namespace": "shop"}
    return {"metadata": meta, "spec": spec, "status": {"conditions": [ready], "identity": identity}}


def found(what: str, findings: list[Finding]) -> Finding:
    return next(one for one in findings if one.what == what)


def test_all_is_well_with_what_the_operator_makes() -> None:
    findings = findings_of(secret(), certificate(), client(), NOW)
    assert [one for one in findings if not one.well] == []
    assert found("names", findings).text == f"URI {pki.CLIENT_ID}"
    assert found("identity", findings).text.endswith("in the certificate")


@pytest.mark.parametrize(
    ("given", "what", "text"),
    [
        ((secret(tls_key=b"x"), certificate(), client()), "credential", "tls.key"),
        ((secret(tls_key=encode_private_key(pki.ec_key())), certificate(), client()), "credential", "not the key of"),
        ((secret(ca_crt=encode_pem(pki.authority("mine").root)), certificate(), client()), "ca.crt", "none of its 1"),
        ((secret(ca_crt=b""), certificate(), client()), "ca.crt", "not a certificate in PEM"),
        ((secret(), certificate(thumbprint="other"), client()), "ClientCertificate", "another certificate"),
        ((secret(), None, None), "ClientCertificate", "none in this namespace"),
        ((secret(), certificate(), None), "OAuthClient", "billing does not exist"),
        ((secret(), certificate(), client(suspended=True)), "OAuthClient", "shop/billing"),
    ],
)
def test_what_does_not_fit_is_named(given: tuple[Any, Any, Any], what: str, text: str) -> None:
    one = found(what, findings_of(*given, NOW))
    assert not one.well
    assert text in one.text


def test_a_certificate_that_ended_is_wrong_and_says_since_when() -> None:
    later = LEAF.certificate.not_valid_after_utc + timedelta(hours=3)
    one = found("validity", findings_of(secret(), certificate(), client(), later))
    assert not one.well
    assert one.text.endswith("ended 3 h ago")


def test_nothing_of_the_key_is_shown() -> None:
    shown = repr(findings_of(secret(), certificate(), client(), NOW))
    key = LEAF.tls_key.decode()
    assert not [line for line in key.splitlines()[1:-1] if line in shown]


def test_what_is_revoked_is_not_well_though_it_fits() -> None:
    revoked = certificate()
    revoked["spec"]["revoked"] = True
    told = found("ClientCertificate", findings_of(secret(), revoked, client(), NOW))
    assert (told.well, told.text) == (False, "shop/billing: revoked, and refused by every issuer replica")


def test_the_issuers_own_secret_lacks_nothing() -> None:
    own = secret() | {"metadata": {"labels": {"mintls.dev/component": "issuer-tls"}}}
    findings = findings_of(own, None, None, NOW)
    assert [one for one in findings if not one.well] == []
    assert found("made for", findings).text == "the issuer itself"


def test_a_certificate_alone_says_the_same_but_of_its_key() -> None:
    bundle = encode_pem(AUTHORITY.root)
    alone = findings_of_certificate(LEAF.tls_crt, bundle, certificate(), client(), NOW)
    assert [one for one in alone if not one.well] == []
    whole = findings_of(secret(), certificate(), client(), NOW)
    assert [one for one in alone if one.what not in {"key", "trust bundle"}] == [
        one for one in whole if one.what not in {"key", "ca.crt"}
    ]


@pytest.mark.parametrize(
    ("what", "pem", "bundle"),
    [
        ("trust bundle", LEAF.tls_crt, encode_pem(pki.authority("other").root)),
        ("certificate", b"no PEM", encode_pem(AUTHORITY.root)),
        ("certificate", LEAF.tls_crt + encode_pem(pki.authority("other").intermediate), encode_pem(AUTHORITY.root)),
    ],
    ids=["a foreign root", "no certificate", "a chain that breaks"],
)
def test_what_is_wrong_with_a_certificate_alone(what: str, pem: bytes, bundle: bytes) -> None:
    findings = findings_of_certificate(pem, bundle, certificate(), client(), NOW)
    assert what in [one.what for one in findings if not one.well]
