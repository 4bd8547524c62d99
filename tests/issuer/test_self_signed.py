"""``self_signed_tls_client_auth`` (RFC 8705 section 2.2) over real TLS: certificates by openssl, requests by curl."""

import asyncio
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from builders.issuer import OPERATOR_ID, Bench, form, registration
from builders.pki import CLIENT_ID, Leaf, authority, ec_key, raw, self_signed_client, uri
from builders.witness import verify_with_pyjwt, x5t_s256
from mintls.core.oauth.registration import Registration
from mintls.core.oauth.self_signed import certificates_of_pem
from mintls.core.pki.dn import parse_dn
from mintls.core.pki.keys import PrivateKey
from mintls.issuer import tls as tls_module

INVALID_CLIENT = {"error": "invalid_client", "error_description": "client authentication failed"}


P256 = ("ec", "-pkeyopt", "ec_paramgen_curve:P-256")


def by_openssl(
    bench: Bench, name: str = "own", *arguments: str, key: Path | None = None, new: tuple[str, ...] = P256
) -> Leaf:
    """A self-signed certificate as docs/issuer.md makes one; with ``key`` another one of that key.

    It begins now, so the issuer's clock follows.
    """
    crt, new_key = bench.directory / f"{name}.crt", bench.directory / f"{name}.key"
    pair: tuple[str | Path, ...] = ("-key", key) if key else ("-newkey", *new, "-keyout", new_key)
    subprocess.run(
        [
            *("openssl", "req", "-x509", *pair, "-noenc", "-out", crt, "-days", "7"),
            *("-addext", "basicConstraints=critical,CA:FALSE", "-subj", "/CN=billing"),
            *arguments,
        ],
        check=True,
        capture_output=True,
    )
    bench.clock.now = datetime.now(UTC)
    private_key = load_pem_private_key((key or new_key).read_bytes(), None)
    return Leaf(x509.load_pem_x509_certificate(crt.read_bytes()), private_key)  # type: ignore[arg-type] # it is P-256


def self_signed(*leaves: Leaf, name: str = "billing", **changes: Any) -> Registration:
    """A client that registers these certificates, after the checks that each of them has to pass."""
    pems = [leaf.tls_crt.decode() for leaf in leaves]
    certificates = tuple(found.certificate for found in certificates_of_pem(pems, "spec.certificates"))
    method: dict[str, Any] = {"token_endpoint_auth_method": "self_signed_tls_client_auth", "subject": None}
    return registration(name, certificates=certificates, **method, **changes)


async def refused_as(bench: Bench, leaf: Leaf | None, reason: str, **parameters: Any) -> None:
    reply = await bench.token(leaf, **parameters)
    assert (reply.status, reply.json) == (401, INVALID_CLIENT)
    assert bench.audit[-1]["reason"] == reason


class TestLetIn:
    async def test_a_certificate_by_openssl_gets_a_token_that_is_bound_to_it(
        self, bench: Bench, tmp_path: Path
    ) -> None:
        leaf = by_openssl(bench)
        bench.put(self_signed(leaf))
        reply = await bench.token(leaf)
        assert reply.status == 200, reply
        keys = (await bench.curl("/jwks", mtls=False)).json
        claims = verify_with_pyjwt(reply.json["access_token"], keys, "https://orders.shop.svc")
        assert claims["cnf"] == {"x5t#S256": x5t_s256(leaf, tmp_path)}

    @pytest.mark.parametrize(
        "arguments",
        [
            ("-addext", "keyUsage=critical,digitalSignature", "-addext", "extendedKeyUsage=clientAuth"),
            ("-addext", "subjectKeyIdentifier=none", "-addext", "authorityKeyIdentifier=none"),
            ("-addext", "subjectAltName=DNS:billing.shop.svc"),
        ],
        ids=" ".join,
    )
    async def test_whatever_may_be_registered_passes_the_handshake(
        self, bench: Bench, arguments: tuple[str, ...]
    ) -> None:
        leaf = by_openssl(bench, "own", *arguments)
        bench.put(self_signed(leaf))
        assert (await bench.token(leaf)).status == 200

    @pytest.mark.parametrize("new", [("rsa:2048",), ("ed25519",), ("ec", "-pkeyopt", "ec_paramgen_curve:P-384")])
    async def test_each_kind_of_key_passes_the_handshake(self, bench: Bench, new: tuple[str, ...]) -> None:
        leaf = by_openssl(bench, new=new)
        bench.put(self_signed(leaf))
        assert (await bench.token(leaf)).status == 200

    @pytest.mark.parametrize("identifiers", [(), ("-addext", "authorityKeyIdentifier=none")], ids=["by default", "no"])
    @pytest.mark.parametrize("same_key", [True, False], ids=["same key", "new key"])
    async def test_old_and_new_overlap_in_a_rotation(
        self, bench: Bench, tmp_path: Path, identifiers: tuple[str, ...], *, same_key: bool
    ) -> None:
        """Of one subject, as the client's tool makes them, and even of one key: OpenSSL looks anchors up by name."""
        old = by_openssl(bench, "old", *identifiers)
        new = by_openssl(bench, "new", *identifiers, key=tmp_path / "old.key" if same_key else None)
        bench.put(self_signed(old))
        async with bench.connect(old) as connection:
            assert (await connection.post("/token", form())).status == 200
            bench.put(self_signed(old, new))
            assert (await bench.token(old)).status == 200
            assert (await bench.token(new)).status == 200
            assert (await connection.post("/token", form())).status == 200, "no connection is dropped"
            bench.put(self_signed(new))
            assert (await bench.token(new)).status == 200
            reply = await connection.post("/token", form())
            assert (reply.status, bench.audit[-1]["reason"]) == (401, "unregistered_certificate")
        assert (await bench.token(old)).status == 0, "the handshake knows it no longer"

    async def test_the_names_in_it_do_not_matter(self, bench: Bench) -> None:
        leaf = self_signed_client(uri("spiffe://example.org/anybody"), subject="CN=somebody")
        bench.put(self_signed(leaf))
        assert (await bench.token(leaf)).status == 200

    async def test_two_clients_beside_each_other_and_a_pki_client(self, bench: Bench) -> None:
        orders, billing = self_signed_client(), self_signed_client()
        bench.put(self_signed(orders, name="orders"))
        bench.put(self_signed(billing, name="invoices"))
        assert (await bench.token(orders, client_id="shop:orders")).status == 200
        assert (await bench.token(billing, client_id="shop:invoices")).status == 200
        assert (await bench.token(bench.authority.client())).status == 200


class TestKeptOut:
    async def test_a_new_certificate_of_the_same_key_is_another_one(self, bench: Bench, tmp_path: Path) -> None:
        leaf = by_openssl(bench)
        twin = by_openssl(bench, "twin", key=tmp_path / "own.key")
        bench.put(self_signed(leaf))
        assert (await bench.token(twin)).status == 0
        bench.put(self_signed(twin, name="twin"))
        await refused_as(bench, twin, "unregistered_certificate")

    async def test_it_never_passes_as_pki(self, bench: Bench) -> None:
        """It carries the name of a PKI client, and even the operator's: nobody vouches for it."""
        leaf = self_signed_client(uri(CLIENT_ID, OPERATOR_ID))
        bench.put(self_signed(leaf, name="orders"))
        await refused_as(bench, leaf, "untrusted_certificate")
        assert (await bench.curl("/register/shop:billing", leaf=leaf)).status == 401

    async def test_pki_never_passes_as_self_signed(self, bench: Bench) -> None:
        own = self_signed_client()
        bench.put(self_signed(own))
        await refused_as(bench, bench.authority.client(), "unregistered_certificate")
        key = own.key
        await refused_as(bench, bench.authority.client(key=key), "unregistered_certificate")

    async def test_the_registration_decides_and_not_the_certificate(self, bench: Bench) -> None:
        own = self_signed_client()
        bench.put(self_signed(own))
        assert (await bench.token(own)).status == 200
        bench.put(replace(self_signed(own), token_endpoint_auth_method="tls_client_auth"))
        await refused_as(bench, own, "untrusted_certificate")
        bench.put(replace(self_signed(own), token_endpoint_auth_method="private_key_jwt"))
        await refused_as(bench, own, "unsupported_method")

    async def test_another_clients_certificate_is_not_its_own(self, bench: Bench) -> None:
        own, other = self_signed_client(), self_signed_client()
        bench.put(self_signed(own))
        bench.put(self_signed(other, name="orders"))
        await refused_as(bench, other, "unregistered_certificate")

    async def test_a_registered_certificate_with_a_foreign_key_is_no_proof(self, bench: Bench, tmp_path: Path) -> None:
        leaf = self_signed_client()
        bench.put(self_signed(leaf))
        (tmp_path / "foreign.crt").write_bytes(leaf.tls_crt)
        (tmp_path / "foreign.key").write_bytes(self_signed_client().tls_key)
        pair = ("--cert", str(tmp_path / "foreign.crt"), "--key", str(tmp_path / "foreign.key"))
        assert (await bench.curl("/token", *pair, "-d", "grant_type=client_credentials")).status == 0

    async def test_it_vouches_for_nothing_in_the_handshake(self, bench: Bench) -> None:
        own = self_signed_client()
        bench.put(self_signed(own))
        key = ec_key()
        below = Leaf(raw(key.public_key(), own.certificate, own.key), key, (own.certificate,))
        assert (await bench.token(below)).status == 0

    async def test_a_second_claim_to_a_certificate_gets_nothing(self, bench: Bench) -> None:
        leaf = self_signed_client()
        bench.put(self_signed(leaf))
        later = registration().created + timedelta(hours=1)
        bench.put(self_signed(leaf, name="copy", created=later))
        await refused_as(bench, leaf, "unknown_client", client_id="shop:copy")
        assert (await bench.token(leaf)).status == 200

    async def test_every_refusal_looks_alike(self, bench: Bench) -> None:
        own, other = self_signed_client(), self_signed_client()
        bench.put(self_signed(other, name="orders"))
        replies = []
        for leaf, client_id, suspended in (
            *((own, "shop:nobody", False), (own, "shop:billing", True)),
            *((other, "shop:billing", False), (None, "shop:billing", False)),
        ):
            bench.put(self_signed(own, suspended=suspended))
            reply = await bench.token(leaf, client_id=client_id)
            headers = {name: value for name, value in reply.headers.items() if name not in {"date", "x-request-id"}}
            replies.append((reply.status, reply.body, headers))
        assert replies[0][0] == 401
        assert all(reply == replies[0] for reply in replies)


class TestTime:
    async def test_validity_is_checked_on_every_request(self, bench: Bench) -> None:
        leaf = self_signed_client()
        bench.put(self_signed(leaf))
        async with bench.connect(leaf) as connection:
            for now, status, reason in (
                (leaf.facts.not_before, 200, "ok"),
                (leaf.facts.not_before - timedelta(seconds=1), 401, "not_yet_valid_certificate"),
                (leaf.facts.not_after, 200, "ok"),
                (leaf.facts.not_after + timedelta(seconds=1), 401, "expired_certificate"),
            ):
                bench.clock.now = now
                assert (await connection.post("/token", form())).status == status
                assert bench.audit[-1]["reason"] == reason

    async def test_suspending_acts_on_the_open_connection(self, bench: Bench) -> None:
        leaf = self_signed_client()
        bench.put(self_signed(leaf))
        async with bench.connect(leaf) as connection:
            assert (await connection.post("/token", form())).status == 200
            bench.put(self_signed(leaf, suspended=True))
            assert (await connection.post("/token", form())).status == 401
            assert bench.audit[-1]["reason"] == "suspended_client"


class TestNobodyIsKeptOutByAnother:
    """Whoever may make an OAuthClient chooses what is in its certificate."""

    def mimic(self, of: x509.Certificate) -> Leaf:
        """Called as the victim is, with its key identifier, of another key."""
        key: PrivateKey = ec_key()
        identifier = of.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        certificate = raw(
            key.public_key(),
            of,
            key,
            subject=of.subject,
            leave_out=(x509.SubjectKeyIdentifier, x509.AuthorityKeyIdentifier, x509.KeyUsage),
            extensions=[(identifier, False)],
        )
        return Leaf(certificate, key)

    async def test_a_certificate_called_as_a_ca_is_does_not_take_its_place(self, bench: Bench) -> None:
        for number, victim in enumerate((bench.authority.root, bench.authority.intermediate)):
            bench.put(self_signed(self.mimic(victim), name=f"mimic-{number}"))
        for _ in range(3):
            bench.serve_as(bench.authority.server())  # the anchors are loaded anew, in any order
            assert (await bench.token(bench.authority.client())).status == 200

    async def test_it_is_not_even_among_the_anchors(self, bench: Bench) -> None:
        """OpenSSL takes the first of one name; which that is, is nobody's promise."""
        directory, own = bench.issuer.directory, self_signed_client()
        mimic, like_root = self.mimic(bench.authority.intermediate), self.mimic(bench.authority.root)
        bench.put(self_signed(own, mimic, like_root))
        assert directory.registered_certificates == {own.certificate}
        bench.trust("default", authority("successor"))
        assert directory.registered_certificates == {own.certificate, mimic.certificate, like_root.certificate}

    async def test_a_certificate_called_as_another_clients_does_not_take_its_place(self, bench: Bench) -> None:
        own = self_signed_client()
        bench.put(self_signed(self.mimic(own.certificate), name="mimic"))
        bench.put(self_signed(own))
        assert (await bench.token(own)).status == 200

    async def test_one_that_openssl_does_not_take_is_left_out(
        self, bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Broken:
            subject = parse_dn("CN=broken")

            def public_bytes(self, _encoding: object) -> bytes:
                return b"0"

        own = self_signed_client()
        bench.put(self_signed(own))
        certificates: Any = (Broken(), own.certificate)
        monkeypatch.setattr("mintls.core.oauth.claims.thumbprint", id)
        bench.put(replace(self_signed(own), certificates=certificates))
        assert (await bench.token(own)).status == 200
        assert "left out" in caplog.text


class TestAnchors:
    """When they are loaded: never for a change alone, and rarely all of them."""

    @pytest.fixture
    def loads(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        counts: list[int] = []
        load = tls_module._trust_each

        def counting(context: Any, certificates: Any) -> None:
            found = list(certificates)
            counts.append(len(found))
            load(context, found)

        monkeypatch.setattr(tls_module, "_trust_each", counting)
        return counts

    async def handshake(self, bench: Bench) -> None:
        async with bench.connect():
            await asyncio.sleep(0)

    async def test_nothing_is_loaded_before_somebody_connects(self, bench: Bench, loads: list[int]) -> None:
        for number in range(5):
            bench.put(self_signed(self_signed_client(), name=f"c{number}"))
        assert loads == []
        await self.handshake(bench)
        await self.handshake(bench)
        assert loads == [5]

    async def test_what_is_added_is_loaded_alone(self, bench: Bench, loads: list[int]) -> None:
        bench.put(self_signed(self_signed_client(), name="a"))
        await self.handshake(bench)
        bench.put(self_signed(self_signed_client(), name="b"))
        await self.handshake(bench)
        assert loads == [1, 1]

    async def test_of_many_a_removed_one_waits_for_company(
        self, bench: Bench, loads: list[int], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tls_module, "_FEW", 3)
        leaves = [self_signed_client() for _ in range(8)]
        for number, leaf in enumerate(leaves):
            bench.put(self_signed(leaf, name=f"c{number}"))
        await self.handshake(bench)
        bench.issuer.directory.remove_client(("shop", "c0"))
        await refused_as(bench, leaves[0], "unknown_client", client_id="shop:c0")
        bench.issuer.directory.remove_client(("shop", "c1"))
        assert (await bench.token(leaves[0], client_id="shop:c0")).status == 0
        assert [count for count in loads if count] == [8, 6]
        assert (await bench.token(leaves[2], client_id="shop:c2")).status == 200


async def test_the_operator_reads_the_certificates_as_a_jwk_set(bench: Bench) -> None:
    leaf = by_openssl(bench)
    bench.put(self_signed(leaf))
    reply = await bench.curl("/register/shop:billing", leaf=bench.authority.client(uri(OPERATOR_ID)))
    assert reply.json["token_endpoint_auth_method"] == "self_signed_tls_client_auth"
    [key] = reply.json["jwks"]["keys"]
    assert key.keys() == {"kty", "crv", "x", "y", "x5c"}
    assert not {name for name in reply.json if name.startswith("tls_client_auth_")}
