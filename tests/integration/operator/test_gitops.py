"""What Flux and Argo CD think of every kind in every phase, by their own libraries: the table in docs/gitops.md."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from builders.world import REPOSITORY, SYSTEM, Object, World, condition, eventually
from clusterlib.gitops import ensure_health, opinions
from clusterlib.progress import Progress
from clusterlib.pytest_plugin import uncaptured
from mintls.kube.paths import (
    CERTIFICATE_AUTHORITIES,
    CLIENT_CERTIFICATES,
    CONFIGMAPS,
    OAUTH_CLIENTS,
    SECRETS,
    Resource,
)

pytestmark = pytest.mark.cluster

PAGE = REPOSITORY / "docs" / "gitops.md"
SCRIPT = REPOSITORY / "docs" / "examples" / "argocd-health.yaml"

type Row = tuple[str, str, str, str]


@pytest.fixture(scope="session")
def health(pytestconfig: pytest.Config) -> Path:
    with uncaptured(pytestconfig):
        return ensure_health(Progress())


def scripts() -> dict[str, str]:
    """The health scripts as an administrator gives them to Argo CD."""
    customizations = yaml.safe_load(yaml.safe_load(SCRIPT.read_text())["data"]["resource.customizations"])
    return {kind: entry["health.lua"] for kind, entry in customizations.items()}


def table() -> set[Row]:
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| `(\w+)` \| `(\w+)` \|$", PAGE.read_text(), re.MULTILINE)
    assert rows
    return {(kind, phase, flux, argo) for kind, phase, flux, argo in rows}


async def test_every_kind_in_every_phase_is_judged_as_the_table_says(world: World, health: Path) -> None:
    seen: list[tuple[str, Object]] = []

    async def take(phase: str, resource: Resource, namespace: str | None, name: str = "billing") -> None:
        seen.append((phase, await world.get(resource, namespace, name)))

    shop = await world.namespace()
    await world.authority()
    await world.client(shop)
    await world.certificate(shop)
    await take("new", CERTIFICATE_AUTHORITIES, None, "default")
    await take("new", OAUTH_CLIENTS, shop)
    await take("new", CLIENT_CERTIFICATES, shop)

    # An authority, and no issuer yet; a certificate whose authority is not there yet.
    operator = await world.operator()
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    await world.reason(OAUTH_CLIENTS, shop, "billing", "WaitingForIssuer")
    await take("registering", OAUTH_CLIENTS, shop)
    await world.client(shop, "early", authorities=[{"name": "late"}])
    await world.certificate(shop, "early", authorityRef={"name": "late"})
    await world.reason(CLIENT_CERTIFICATES, shop, "early", "AuthorityNotFound")
    await take("issuing", CLIENT_CERTIFICATES, shop, "early")

    await world.issuer()
    await world.ready(OAUTH_CLIENTS, shop, "billing")
    await take("ready", CERTIFICATE_AUTHORITIES, None, "default")
    await take("ready", OAUTH_CLIENTS, shop)
    await take("ready", CLIENT_CERTIFICATES, shop)

    await world.client(shop, "away", suspended=True)
    await world.reason(OAUTH_CLIENTS, shop, "away", "Suspended")
    await take("suspended", OAUTH_CLIENTS, shop, "away")
    await world.client(shop, "greedy", tlsClientAuth={"sanURI": "spiffe://cluster.local/ns/bank/client/vault"})
    await world.reason(OAUTH_CLIENTS, shop, "greedy", "IdentityNotAllowed")
    await take("failing", OAUTH_CLIENTS, shop, "greedy")
    await world.certificate(shop, "greedy")
    await world.reason(CLIENT_CERTIFICATES, shop, "greedy", "ClientInvalid")
    await take("failing", CLIENT_CERTIFICATES, shop, "greedy")

    # The authority's key is lost while a renewal is due: what was issued is still good.
    await world.api.delete(SECRETS.item(SYSTEM, "mintls-authority-default-root"))
    await world.reason(CERTIFICATE_AUTHORITIES, None, "default", "KeyLost")
    await take("failing", CERTIFICATE_AUTHORITIES, None, "default")
    world.clock.pass_(timedelta(hours=18))
    await operator.end()
    operator = await world.operator("operator-1")

    async def waits_for_renewal() -> bool:
        return bool(condition(await world.get(CLIENT_CERTIFICATES, shop, "billing"), "Issuing"))

    await eventually(waits_for_renewal)
    await take("renewing", CLIENT_CERTIFICATES, shop)

    await operator.end()
    await stale(world, take, (CERTIFICATE_AUTHORITIES, None, "default"), {"policy": {"backdate": "2m"}})
    await stale(world, take, (OAUTH_CLIENTS, shop, "billing"), {"scopes": ["orders.read"]})
    await stale(world, take, (CLIENT_CERTIFICATES, shop, "billing"), {"duration": "12h"})

    judged = await asyncio.to_thread(opinions, health, [item for _, item in seen], scripts())
    found = {(item["kind"], phase, one.kstatus, one.argocd) for (phase, item), one in zip(seen, judged, strict=True)}
    assert found == table(), "the table should be:\n" + "\n".join(
        f"| `{kind}` | {phase} | `{flux}` | `{argo}` |" for kind, phase, flux, argo in sorted(found)
    )


async def stale(
    world: World,
    take: Callable[..., Awaitable[None]],
    where: tuple[Resource, str | None, str],
    spec: dict[str, Any],
) -> None:
    """Nobody looks any more: the spec is edited, then the object is deleted, with a finalizer of somebody else's."""
    resource, namespace, name = where
    path = resource.item(namespace, name)
    await world.api.merge_patch(path, {"spec": spec})
    await take("stale generation", *where)
    await world.api.merge_patch(path, {"metadata": {"finalizers": ["example.org/holds"]}})
    await world.api.delete(path)
    await take("deleting", *where)
    await world.api.merge_patch(path, {"metadata": {"finalizers": None}})


async def test_without_the_script_argo_cd_has_no_opinion(world: World, health: Path) -> None:
    shop = await world.namespace()
    await world.client(shop)
    item = await world.get(OAUTH_CLIENTS, shop, "billing")
    [one] = await asyncio.to_thread(opinions, health, [item], {})
    assert one.argocd == ""


async def test_what_the_operator_writes_for_others_counts_as_done(world: World, health: Path) -> None:
    shop = await world.namespace()
    await world.authority()
    await world.client(shop)
    await world.certificate(shop)
    await world.operator()
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    written = [await world.get(SECRETS, shop, "billing-mtls"), await world.get(CONFIGMAPS, shop, "mintls-trust-bundle")]
    for one in await asyncio.to_thread(opinions, health, written, scripts()):
        assert (one.kstatus, one.argocd) == ("Current", "")
