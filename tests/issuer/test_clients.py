"""Clients that share no code with Mintls, in five languages: from discovery to a token that their own JOSE verifies."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey

from builders import programs
from builders.issuer import SETTINGS, Bench, registration, running_issuer, signing_key_made
from builders.pki import Leaf, authority, self_signed_client
from builders.programs import Command
from builders.world import free_port
from mintls.controllers.entropy import new_key
from mintls.core.oauth.client_assertion import keys_of_jwks
from mintls.core.oauth.self_signed import Jwk
from mintls.core.oauth.signing_algorithms import ALGORITHMS, key_spec
from mintls.core.oauth.signing_keys import key_id
from mintls.core.pki.keystore import Credentials, render
from mintls.core.pki.truststore import render_pkcs12
from mintls.issuer.run import utc_now
from mintls.issuer.settings import Address

AUDIENCE = "https://orders.shop.svc"
PASSWORD = "changeit"
REFUSED = {"refused": {"status": 401, "error": "invalid_client"}}

CLIENTS: dict[str, Command] = {
    "curl": programs.shell,
    "authlib": programs.authlib,
    "openid-client": programs.openid_client,
    "golang": programs.golang,
    "nimbus": programs.nimbus,
}
INSTALLED = ("curl", "authlib")
UNKNOWN = {
    "authlib": {"ES384", "PS256", "EdDSA"},  # its RFC 9068 validator takes what RFC 7518 recommends
    "curl": {"ES384", "PS256", "RS256", "EdDSA"},  # the script is for one
    "nimbus": {"EdDSA"},  # wants another library
}
"""Algorithms that a client does not verify."""
INTROSPECTS = ("curl", "authlib", "openid-client", "nimbus")


def marked(*values: str) -> Any:
    return pytest.param(*values, marks=() if values[0] in INSTALLED else pytest.mark.witness, id="-".join(values))


each = pytest.mark.parametrize("name", [marked(name) for name in CLIENTS])


@dataclass
class Mount:
    """An issuer at addresses that can be found by discovery, and the Secret of a client."""

    bench: Bench
    directory: Path

    def has(self, leaf: Leaf | None) -> None:
        """The files of the Secret; ``None``: without a certificate."""
        (self.directory / "client-id").write_text("shop:billing")
        (self.directory / "issuer").write_text(self.bench.issuer.settings.issuer_url)
        (self.directory / "ca.crt").write_text(self.bench.authority.bundle)
        (self.directory / "truststore.p12").write_bytes(render_pkcs12([self.bench.authority.root]))
        if leaf is not None:
            leaf.write(self.directory)
            files = render(
                "PKCS12",
                Credentials(leaf.key, (leaf.certificate, *leaf.chain), (self.bench.authority.root,)),
                PASSWORD,
                alias="billing",
                profile="Modern2023",
                salt=b"",
            )
            (self.directory / "keystore.p12").write_bytes(files["keystore.p12"])

    async def seen_by(self, name: str, *more: str) -> dict[str, Any]:
        return await programs.run(CLIENTS[name](), self.directory, AUDIENCE, *more)

    def sign_with(self, alg: str) -> str:
        """Publish a key and sign with it; its ``kid``."""
        key = new_key(key_spec(alg))
        made = signing_key_made(kid=key_id(key.public_key()), alg=alg, private_key=key)
        self.bench.issuer.directory.put_signing_keys((made,))
        return made.kid


@pytest.fixture
async def mount(tmp_path: Path) -> AsyncIterator[Mount]:
    ports = free_port(), free_port()
    settings = replace(
        SETTINGS,
        issuer_url=f"https://localhost:{ports[0]}",
        mtls_url=f"https://localhost:{ports[1]}",
        open_address=Address("127.0.0.1", ports[0]),
        mtls_address=Address("127.0.0.1", ports[1]),
    )
    async with running_issuer(tmp_path, settings) as bench:
        bench.clock.now = utc_now()
        directory = tmp_path / "mounted"
        directory.mkdir()
        yield Mount(bench, directory)


@pytest.mark.parametrize(
    ("name", "alg"),
    [marked(name, alg) for name in CLIENTS for alg in ALGORITHMS if alg not in UNKNOWN.get(name, ())],
)
async def test_a_token_by_discovery_that_the_clients_own_library_verifies(mount: Mount, name: str, alg: str) -> None:
    leaf = mount.bench.authority.client()
    mount.has(leaf)
    kid = mount.sign_with(alg)

    seen = await mount.seen_by(name)

    assert seen["endpoint"] == f"{mount.bench.issuer.settings.mtls_url}/token", "of mtls_endpoint_aliases"
    assert seen["type"].lower() == "bearer"
    assert {"alg": alg, "typ": "at+jwt", "kid": kid} == seen["header"]
    assert seen["claims"]["client_id"] == "shop:billing"
    assert seen["claims"]["scope"] == "orders.read"
    assert seen["claims"]["cnf"] == {"x5t#S256": seen["thumbprint"]}
    assert seen["thumbprint"] == leaf.thumbprint
    if name in INTROSPECTS:
        assert seen["introspection"]["active"] is True
        assert seen["introspection"]["cnf"] == {"x5t#S256": seen["thumbprint"]}
        assert seen["revoked"] == {"active": False}


@each
async def test_without_a_certificate_it_is_refused_in_oauth_words(mount: Mount, name: str) -> None:
    mount.has(None)
    assert await mount.seen_by(name) == REFUSED
    assert mount.bench.audit[-1]["reason"] == "no_certificate"


@each
async def test_with_an_expired_certificate_it_is_refused_in_oauth_words(mount: Mount, name: str) -> None:
    mount.has(mount.bench.authority.expired_client())
    assert await mount.seen_by(name) == REFUSED
    assert mount.bench.audit[-1]["reason"] == "expired_certificate"


@each
async def test_with_a_certificate_of_a_foreign_authority_it_gets_no_connection(mount: Mount, name: str) -> None:
    mount.has(authority().client())
    seen = await mount.seen_by(name)
    assert seen.keys() == {"failed"}, seen


@each
async def test_with_a_registered_self_signed_certificate_it_gets_a_token_bound_to_it(mount: Mount, name: str) -> None:
    leaf = self_signed_client()
    mount.bench.put(
        registration(
            token_endpoint_auth_method="self_signed_tls_client_auth", subject=None, certificates=(leaf.certificate,)
        )
    )
    mount.has(leaf)
    assert (await mount.seen_by(name))["claims"]["cnf"] == {"x5t#S256": leaf.thumbprint}


@pytest.mark.witness
async def test_openid_client_signs_its_assertions_as_they_have_to_be(mount: Mount) -> None:
    mount.has(None)
    key = ECKey.generate_key("P-256")
    (mount.directory / "assertion.key").write_bytes(key.as_pem(private=True))
    mount.bench.put(
        registration(
            token_endpoint_auth_method="private_key_jwt",
            subject=None,
            certificate_bound=False,
            keys=keys_of_jwks([Jwk(key.as_dict(private=False), ())], "spec.jwks.keys"),
        )
    )
    seen = await mount.seen_by("openid-client", "private_key_jwt")
    assert "cnf" not in seen["claims"]
    assert (seen["introspection"]["active"], seen["revoked"]) == (True, {"active": False})


@pytest.mark.witness
@pytest.mark.parametrize("dpop_nonce", [False, True])
async def test_openid_client_makes_proofs_and_takes_up_a_nonce(mount: Mount, *, dpop_nonce: bool) -> None:
    mount.bench.issuer.settings = replace(mount.bench.issuer.settings, dpop_nonce=dpop_nonce)
    mount.bench.put(registration(dpop_bound=True))
    mount.has(mount.bench.authority.client())
    seen = await mount.seen_by("openid-client", "dpop")
    assert seen["type"].lower() == "dpop"
    assert seen["claims"]["cnf"] == {"jkt": seen["jkt"]}
