"""``mintls check``: is everything there that an installation needs?"""

from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any

import click

from mintls.api.crd import KINDS, custom_resource_definition
from mintls.cli.people.checks import Seen, findings_of
from mintls.cli.people.credential import Finding, as_data, as_text
from mintls.cli.people.options import WRONG, Where, ask, people, show
from mintls.cli.people.reach import issuer_with
from mintls.cli.people.rights import of_the_operator, of_who_installs
from mintls.core.oauth.metadata import well_known_paths
from mintls.kube.client import ApiClient
from mintls.kube.errors import NotFound
from mintls.kube.paths import (
    CERTIFICATE_AUTHORITIES,
    CONFIGMAPS,
    CUSTOM_RESOURCE_DEFINITIONS,
    ENDPOINT_SLICES,
    LEASES,
    POD_CERTIFICATE_REQUESTS,
)
from mintls.reconcile.trustbundle import NAME as BUNDLE

_VERSION = "/version"


@click.command()
@click.option("--system-namespace", default="mintls-system", show_default=True, help="Namespace of the installation.")
@click.option("--issuer-url", help="The issuer, if it has another name than that of its Service.")
@click.option("--connect-to", metavar="HOST:PORT", help="Where the issuer is reached from here, if not by that name.")
@people
def check(*, where: Where, system_namespace: str, issuer_url: str | None, connect_to: str | None) -> None:
    """What there is of an installation, and what it needs: each line ok, or how to mend it.

    Kubernetes' version and APIs, kinds, operator, clocks, issuer, authorities, rights, and trust in the issuer. It
    needs the right to read CustomResourceDefinitions and the installation's namespace. Before an install it says
    whether you may install; the kinds and all below them are missing then. A name inside the cluster is reached by
    `kubectl port-forward`.
    """
    own = {one["metadata"]["name"]: one for one in map(custom_resource_definition, KINDS)}

    async def look(api: ApiClient) -> list[Finding]:
        seen = await observe(api)
        installed = seen.lease is not None
        asked = of_the_operator if installed else of_who_installs
        found = findings_of(seen, datetime.now(UTC))
        reached = []
        if issuer_url or any(one.what == "issuer" and one.well for one in found):
            url = issuer_url or f"https://mintls-issuer.{system_namespace}.svc:8443"
            reached = [await _reached(api, url, where, connect_to, system_namespace)]
        return [*found, await asked(api, system_namespace), *reached]

    async def observe(api: ApiClient) -> Seen:
        slices = ENDPOINT_SLICES.collection(system_namespace)
        selected = {"labelSelector": "kubernetes.io/service-name=mintls-issuer"}
        authorities = await _there(api.get(CERTIFICATE_AUTHORITIES.collection()))
        return Seen(
            namespace=system_namespace,
            version=await api.get(_VERSION),
            certificates=await _there(api.get(POD_CERTIFICATE_REQUESTS.root)),
            kinds={name: await _there(api.get(CUSTOM_RESOURCE_DEFINITIONS.item(None, name))) for name in own},
            own_kinds=own,
            lease=await _there(api.get(LEASES.item(system_namespace, "mintls-operator"))),
            endpoints=(await api.get(slices, params=selected))["items"],
            authorities=None if authorities is None else authorities["items"],
        )

    found = ask(where, look)
    show(where, as_data(found), as_text(found))
    if not all(one.well for one in found):
        raise click.exceptions.Exit(WRONG)


async def _reached(api: ApiClient, url: str, where: Where, connect_to: str | None, namespace: str) -> Finding:
    """Whether the issuer answers, with a certificate that those trust who have the trust bundle."""
    bundle = await _there(api.get(CONFIGMAPS.item(namespace, BUNDLE)))
    if bundle is None:
        text = f"there is no ConfigMap {namespace}/{BUNDLE}: see that the operator runs"
        return Finding("trust", well=False, text=text)
    try:
        async with issuer_with({"ca.crt": bundle["data"]["ca.crt"].encode()}, url, where, connect_to) as issuer:
            told = await issuer.get(well_known_paths(url)[0])
    except click.ClickException as error:
        return Finding("trust", well=False, text=error.message)
    if told.get("issuer") != url.rstrip("/"):
        return Finding("trust", well=False, text=f"{url} is the issuer {told.get('issuer')}: give that by --issuer-url")
    return Finding("trust", well=True, text=f"{url} answers, and the trust bundle vouches for it")


async def _there(reading: Awaitable[dict[str, Any]]) -> dict[str, Any] | None:
    try:
        return await reading
    except NotFound:
        return None
