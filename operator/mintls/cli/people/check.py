"""``mintls check``: is everything there that an installation needs?"""

from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any

import click

from mintls.api.crd import KINDS, custom_resource_definition
from mintls.cli.people.checks import Seen, findings_of
from mintls.cli.people.credential import as_data, as_text
from mintls.cli.people.options import WRONG, Where, ask, people, show
from mintls.kube.client import ApiClient
from mintls.kube.errors import NotFound
from mintls.kube.paths import CERTIFICATE_AUTHORITIES, ENDPOINT_SLICES, LEASES, Resource

_DEFINITIONS = Resource(
    "apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False
)
_VERSION = "/version"


@click.command()
@click.option("--system-namespace", default="mintls-system", show_default=True, help="Namespace of the installation.")
@people
def check(*, where: Where, system_namespace: str) -> None:
    """Kubernetes' version, kinds, operator, clocks, issuer and authorities: each line ok, or how to mend it.

    It needs the right to read CustomResourceDefinitions and the installation's namespace. Before an install, the kinds
    and all below them are missing: what counts then is the first line.
    """
    own = {one["metadata"]["name"]: one for one in map(custom_resource_definition, KINDS)}

    async def look(api: ApiClient) -> Seen:
        slices = ENDPOINT_SLICES.collection(system_namespace)
        selected = {"labelSelector": "kubernetes.io/service-name=mintls-issuer"}
        authorities = await _there(api.get(CERTIFICATE_AUTHORITIES.collection()))
        return Seen(
            namespace=system_namespace,
            version=await api.get(_VERSION),
            kinds={name: await _there(api.get(_DEFINITIONS.item(None, name))) for name in own},
            own_kinds=own,
            lease=await _there(api.get(LEASES.item(system_namespace, "mintls-operator"))),
            endpoints=(await api.get(slices, params=selected))["items"],
            authorities=None if authorities is None else authorities["items"],
        )

    found = findings_of(ask(where, look), datetime.now(UTC))
    show(where, as_data(found), as_text(found))
    if not all(one.well for one in found):
        raise click.exceptions.Exit(WRONG)


async def _there(reading: Awaitable[dict[str, Any]]) -> dict[str, Any] | None:
    try:
        return await reading
    except NotFound:
        return None
