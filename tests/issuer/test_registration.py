"""``GET /register/{client_id}``: what the operator reads, and nobody else."""

import pytest

from builders.issuer import OPERATOR_ID, Bench, registration
from builders.pki import Leaf, authority, uri
from mintls.core.pki.names import SubjectKind, SubjectName


def operator(bench: Bench) -> Leaf:
    return bench.authority.client(uri(OPERATOR_ID))


@pytest.mark.parametrize("path", ["/register/shop:billing", "/register/shop%3Abilling", "/register/shop%3abilling"])
async def test_the_operator_reads_the_registration_in_effect(bench: Bench, path: str) -> None:
    bench.put(registration(generation=7, client_name="Billing"))
    reply = await bench.curl(path, leaf=operator(bench))
    assert reply.status == 200
    assert reply.headers["cache-control"] == "no-store"
    assert reply.json == {
        "client_id": "shop:billing",
        "client_id_issued_at": int(registration().created.timestamp()),
        "client_name": "Billing",
        "token_endpoint_auth_method": "tls_client_auth",
        "tls_client_auth_san_uri": "spiffe://cluster.local/ns/shop/client/billing",
        "grant_types": ["client_credentials"],
        "scope": "orders.read orders.write",
        "tls_client_certificate_bound_access_tokens": True,
        "dpop_bound_access_tokens": False,
        "mintls_uid": "uid-of-shop-billing",
        "mintls_generation": 7,
        "mintls_suspended": False,
        "mintls_access_token_jwks_uri": "https://localhost:8443/jwks",
    }


async def test_a_suspended_client_is_still_registered(bench: Bench) -> None:
    bench.put(registration(suspended=True))
    reply = await bench.curl("/register/shop:billing", leaf=operator(bench))
    assert reply.json["mintls_suspended"] is True


async def test_the_subject_is_shown_under_its_own_parameter(bench: Bench) -> None:
    bench.put(registration(subject=SubjectName(SubjectKind.SUBJECT_DN, "CN=billing,O=Example")))
    reply = await bench.curl("/register/shop:billing", leaf=operator(bench))
    assert reply.json["tls_client_auth_subject_dn"] == "CN=billing,O=Example"
    assert "tls_client_auth_san_uri" not in reply.json


@pytest.mark.parametrize("client_id", ["shop:nobody", "%00", "shop%2Fbilling", "%E2%82%AC"])
async def test_an_unknown_client_is_404(bench: Bench, client_id: str) -> None:
    reply = await bench.curl(f"/register/{client_id}", leaf=operator(bench))
    assert (reply.status, reply.json["error"]) == (404, "not_found")
    assert (bench.audit[-1]["decision"], bench.audit[-1]["reason"]) == ("refused", "unknown_client")


@pytest.mark.parametrize("who", ["nobody", "client", "other authority", "expired"])
async def test_anyone_else_is_401_whether_the_client_exists_or_not(bench: Bench, who: str) -> None:
    foreign = authority("partners")
    bench.trust("partners", foreign)
    leaf = {
        "nobody": None,
        "client": bench.authority.client(),
        "other authority": foreign.client(uri(OPERATOR_ID)),
        "expired": bench.authority.expired_client(uri(OPERATOR_ID)),
    }[who]
    replies = [await bench.curl(f"/register/{client_id}", leaf=leaf) for client_id in ("shop:billing", "shop:nobody")]
    for reply in replies:
        assert (reply.status, reply.json["error"]) == (401, "invalid_token")
        assert reply.headers["www-authenticate"] == 'Bearer realm="https://localhost:8443", error="invalid_token"'
    assert replies[0].body == replies[1].body
    assert bench.audit[-1]["reason"] == "not_the_operator"
