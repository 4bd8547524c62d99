"""Vault: by which roots its server is trusted, and what is in the Secret with its token."""

import msgspec
import pytest

from builders import pki
from mintls.api.v1alpha1.vault import Vault
from mintls.core.pki.certificate import encode_pem
from mintls.reconcile.credential import Contents, Violation
from mintls.reconcile.reasons import Reason
from mintls.reconcile.vault import server_roots, token_of

CA, OTHER = pki.authority("corporate"), pki.authority("server")


def spec(bundle: bytes | None = None) -> Vault:
    auth = {"tokenSecretRef": {"name": "vault"}}
    body = {"url": "https://vault.example:8200", "role": "mintls", "auth": auth}
    return msgspec.convert(body | ({"caBundle": bundle.decode()} if bundle else {}), Vault)


def test_the_server_is_trusted_by_its_own_roots_or_by_those_of_the_ca() -> None:
    assert server_roots(spec(), (CA.root,)) == (CA.root,)
    assert server_roots(spec(encode_pem(OTHER.root)), (CA.root,)) == (OTHER.root,)


def test_a_bundle_that_is_none_is_named() -> None:
    found = server_roots(spec(b"-----BEGIN CERTIFICATE-----"), (CA.root,))
    assert isinstance(found, Violation)
    assert found.reason == Reason.INVALID_SPEC
    assert found.message.startswith("spec.external.vault.caBundle: ")


@pytest.mark.parametrize("data", [b"hvs.abc", b"hvs.abc\r\n"])
def test_the_token_is_read(data: bytes) -> None:
    assert token_of("ns/vault", Contents({"token": data})) == "hvs.abc"


@pytest.mark.parametrize(
    ("contents", "reason", "message"),
    [
        (None, Reason.SECRET_MISSING, "there is no Secret ns/vault"),
        (Contents({"toke": b"x"}), Reason.KEY_BROKEN, "Secret ns/vault has no token"),
        (Contents({"token": b" \n"}), Reason.KEY_BROKEN, "Secret ns/vault has no token"),
        (Contents({"token": b"a\nX-Other: b"}), Reason.KEY_BROKEN, "Secret ns/vault has no token"),
        (Contents({"token": b"\xff"}), Reason.KEY_BROKEN, "Secret ns/vault has no token"),
    ],
)
def test_what_is_no_token_is_told(contents: Contents | None, reason: Reason, message: str) -> None:
    found = token_of("ns/vault", contents)
    assert isinstance(found, Violation)
    assert (found.reason, message in found.message) == (reason, True)
