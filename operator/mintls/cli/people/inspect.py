"""``mintls inspect``: what is in a credential's Secret, and whether it belongs together and to its objects."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import click

from mintls.cli.people.credential import Finding, as_data, as_text, findings_of
from mintls.cli.people.options import WRONG, Where, ask, people, show
from mintls.kube.client import ApiClient
from mintls.kube.errors import NotFound
from mintls.kube.paths import CLIENT_CERTIFICATES, OAUTH_CLIENTS, SECRETS


@click.command()
@click.argument("name")
@people
def inspect(*, where: Where, name: str) -> None:
    """What is in the Secret NAME, or in the Secret of the ClientCertificate NAME.

    Names, validity, chain, key, and the objects that it belongs to. The key is compared and never shown. The exit
    status is 1 if something does not fit.
    """

    async def read(api: ApiClient) -> list[Finding]:
        namespace = where.namespace(api)
        secret = await _secret_of(api, namespace, name)
        owners = [
            item
            async for page in api.list_pages(CLIENT_CERTIFICATES.collection(namespace))
            for item in page["items"]
            if item["spec"]["secretName"] == secret["metadata"]["name"]
        ]
        certificate = owners[0] if owners else None
        client = await _client_of(api, certificate)
        return findings_of(secret, certificate, client, datetime.now(UTC))

    found = ask(where, read)
    show(where, as_data(found), as_text(found))
    if not all(one.well for one in found):
        raise click.exceptions.Exit(WRONG)


async def _secret_of(api: ApiClient, namespace: str, name: str) -> dict[str, Any]:
    try:
        return await api.get(SECRETS.item(namespace, name))
    except NotFound as missing:
        try:
            named = await api.get(CLIENT_CERTIFICATES.item(namespace, name))
        except NotFound:
            problem = f'there is neither a Secret nor a ClientCertificate "{name}" in namespace {namespace}'
            raise click.ClickException(problem) from missing
    return await api.get(SECRETS.item(namespace, named["spec"]["secretName"]))


async def _client_of(api: ApiClient, certificate: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if certificate is None:
        return None
    try:
        meta, spec = certificate["metadata"], certificate["spec"]
        return await api.get(OAUTH_CLIENTS.item(meta["namespace"], spec["clientRef"]["name"]))
    except NotFound:
        return None
