"""Clients registered at the issuer: objects of the real API, by the real rights."""

from typing import Any

import aiohttp
import pytest

from builders.registrations import INITIAL
from builders.world import World, eventually
from mintls.issuer.settings import RegistrationSecret
from mintls.kube.paths import OAUTH_CLIENTS, SECRETS

pytestmark = pytest.mark.cluster

SYSTEM = "mintls-system"


async def granted(world: World, **limits: str) -> str:
    """A namespace where whoever has INITIAL may register clients at the issuer that runs."""
    shop = await world.namespace()
    world.let_issuer_register_in(shop)
    await secret(world, **limits)
    await world.authority()
    await world.operator()
    await world.issuer(registrations=(RegistrationSecret("registration", shop),))
    return shop


async def secret(world: World, token: str = INITIAL, **limits: str) -> None:
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "registration"}}
    await world.api.apply(SECRETS.item(SYSTEM, "registration"), {**body, "stringData": {"token": token, **limits}})


async def call(world: World, method: str, path: str, token: str, metadata: Any = None) -> tuple[int, dict[str, Any]]:
    """Without a check of the server: that is what other tests are about."""
    headers = {"Authorization": f"Bearer {token}"}
    url = f"{world.installation.issuer_url}/register{path}"
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, headers=headers, json=metadata, ssl=False) as reply,
    ):
        return reply.status, await reply.json() if reply.status != 204 else {}


POLICY = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: clients-have-names}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules: [{apiGroups: [mintls.dev], apiVersions: ["*"], operations: [CREATE], resources: [oauthclients]}]
  validations: [{expression: has(object.spec.clientName), message: give each client a clientName}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: clients-have-names}
spec: {policyName: clients-have-names, validationActions: [Deny]}
"""


async def test_what_the_schema_or_a_policy_of_the_cluster_refuses_is_said(world: World) -> None:
    await granted(world)
    status, answer = await call(world, "POST", "", INITIAL, {"tls_client_auth_san_email": "a" * 400 + "@shop.example"})
    assert (status, answer["error"]) == (400, "invalid_client_metadata")
    assert "sanEmail" in answer["error_description"]
    world.cluster.kubectl("apply", "-f", "-", stdin=POLICY)
    try:

        async def refused() -> bool:
            status, answer = await call(world, "POST", "", INITIAL, {})
            return status == 400 and "give each client a clientName" in answer["error_description"]

        await eventually(refused)
        assert (await call(world, "POST", "", INITIAL, {"client_name": "Reports"}))[0] == 201
    finally:
        world.cluster.kubectl("delete", "-f", "-", stdin=POLICY)


async def test_limits_are_read_again_when_the_secret_changes(world: World) -> None:
    await granted(world, scopes="orders.read")
    assert (await call(world, "POST", "", INITIAL, {"scope": "orders.write"}))[0] == 400
    await secret(world, scopes="orders.read orders.write", maxClients="1")

    async def registered() -> bool:
        return (await call(world, "POST", "", INITIAL, {"scope": "orders.write"}))[0] == 201

    await eventually(registered)
    assert (await call(world, "POST", "", INITIAL, {}))[0] == 403, "one client is all that the grant allows"
    await secret(world, token="x")  # too short to be one

    async def refused() -> bool:
        return (await call(world, "POST", "", INITIAL, {}))[0] == 401

    await eventually(refused)


async def test_an_object_that_a_person_has_edited_is_read_only(world: World) -> None:
    shop = await granted(world)
    _, made = await call(world, "POST", "", INITIAL, {})
    path, token = f"/{made['client_id']}", made["registration_access_token"]
    name = made["client_id"].partition(":")[2]
    await world.ready(OAUTH_CLIENTS, shop, name)
    status, changed = await call(world, "PUT", path, token, {"client_id": made["client_id"], "client_name": "A"})
    assert (status, changed["client_name"]) == (200, "A"), "the operator's status makes it nobody else's"
    token = changed["registration_access_token"]
    world.cluster.kubectl(
        "-n", shop, "patch", f"oauthclient/{name}", "--type=merge", "-p", '{"spec":{"suspended":true}}'
    )
    body = {"client_id": made["client_id"]}
    assert (await call(world, "PUT", path, token, body))[0] == 403
    assert (await call(world, "DELETE", path, token))[0] == 403
    assert (await call(world, "GET", path, token))[0] == 200


async def test_where_the_issuer_has_no_rights_nothing_is_registered_and_the_answer_says_later(world: World) -> None:
    bank = await world.namespace()
    await secret(world)
    await world.authority()
    await world.operator()
    await world.issuer(registrations=(RegistrationSecret("registration", bank),))
    status, answer = await call(world, "POST", "", INITIAL, {})
    assert (status, answer["error"]) == (503, "temporarily_unavailable")
