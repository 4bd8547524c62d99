"""``mintls inspect``: what is in a Secret or a certificate, and whether it belongs together and to its objects."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, BinaryIO

import click

from mintls.cli.people.credential import Finding, as_data, as_text, findings_of, findings_of_certificate, leaf_of
from mintls.cli.people.options import WRONG, Where, ask, people, show
from mintls.core.pki.errors import CredentialBroken
from mintls.kube.client import ApiClient
from mintls.kube.errors import NotFound
from mintls.kube.paths import CLIENT_CERTIFICATES, CONFIGMAPS, OAUTH_CLIENTS, SECRETS
from mintls.reconcile.trustbundle import NAME

type Object = dict[str, Any]


@click.command()
@click.argument("name", required=False)
@click.option(
    "-f",
    "--filename",
    type=click.File("rb"),
    help="A certificate (PEM) instead of a Secret; - for standard input.",
)
@people
def inspect(*, where: Where, name: str | None, filename: BinaryIO | None) -> None:
    """What is in the Secret NAME, or in the Secret of the ClientCertificate NAME, or in a file.

    Names, validity, chain, key, and the objects that it belongs to. The key is compared and never shown. Whether roots
    vouch for it is asked of the Secret's own, and for a file of the trust bundle of the namespace. The exit status is 1
    if something does not fit.
    """
    if (name is None) == (filename is None):
        raise click.UsageError("name a Secret or a ClientCertificate, or give a certificate with -f")
    pem = filename.read() if filename else b""

    async def read(api: ApiClient) -> list[Finding]:
        namespace = where.namespace(api)
        return await (_of_secret(api, namespace, name) if name else _of_file(api, namespace, pem))

    found = ask(where, read)
    show(where, as_data(found), as_text(found))
    if not all(one.well for one in found):
        raise click.exceptions.Exit(WRONG)


async def _of_secret(api: ApiClient, namespace: str, name: str) -> list[Finding]:
    secret = await _secret_of(api, namespace, name)
    written = secret["metadata"]["name"]
    certificate = await _first(api, namespace, lambda item: bool(item["spec"]["secretName"] == written))
    return findings_of(secret, certificate, await _client_of(api, certificate), datetime.now(UTC))


async def _of_file(api: ApiClient, namespace: str, pem: bytes) -> list[Finding]:
    """Whose certificate it is, it says itself: by the uid in it, which no other object ever has."""
    try:
        origin = leaf_of(pem).origin
    except CredentialBroken as error:
        raise click.ClickException(f"this is no certificate in PEM: {error}") from error
    uid = origin.uid if origin else ""
    certificate = await _first(api, namespace, lambda item: bool(item["metadata"]["uid"] == uid))
    client = await _client_of(api, certificate)
    return findings_of_certificate(pem, await _bundle(api, namespace), certificate, client, datetime.now(UTC))


async def _first(api: ApiClient, namespace: str, wanted: Callable[[Object], bool]) -> Object | None:
    """The first ClientCertificate of that kind."""
    async for page in api.list_pages(CLIENT_CERTIFICATES.collection(namespace)):
        for item in page["items"]:
            if wanted(item):
                return dict(item)
    return None


async def _bundle(api: ApiClient, namespace: str) -> bytes:
    try:
        found = await api.get(CONFIGMAPS.item(namespace, NAME))
    except NotFound as missing:
        problem = f'there is no trust bundle (ConfigMap "{NAME}") in namespace {namespace}: choose one with a client'
        raise click.ClickException(problem) from missing
    return str(found["data"]["ca.crt"]).encode()


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
