"""``mintls issuer``: the token issuer."""

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import click

from mintls.cli.logs import configure_logging
from mintls.cli.options import address, proxy, rate, registration, shared
from mintls.cli.running import run
from mintls.core.oauth.forwarded_certificate import Format
from mintls.issuer.run import run_issuer
from mintls.issuer.settings import Address, InvalidSettings, Settings
from mintls.issuer.spans import Record, wants_traces
from mintls.kube.client import ApiClient
from mintls.kube.errors import ConfigurationError


@click.command()
@shared
@click.option("--address", "open_address", default=":8443", show_default=True, help="Asks for no client certificate.")
@click.option("--mtls-address", default=":9443", show_default=True, help="Asks for a client certificate.")
@click.option(
    "--ext-authz-address",
    metavar="ADDRESS",
    envvar="MINTLS_EXT_AUTHZ_ADDRESS",
    help="Envoy's ext_authz over gRPC, such as :9444, for proxies (--proxy); left out, it is off.",
)
@click.option("--probe-address", default=":8081", show_default=True, help="Plain HTTP: probes and metrics.")
@click.option(
    "--json-bodies",
    is_flag=True,
    envvar="MINTLS_JSON_BODIES",
    help="Take token requests in JSON, too; RFC 6749 wants a form.",
)
@click.option(
    "--dpop-nonce",
    is_flag=True,
    envvar="MINTLS_DPOP_NONCE",
    help="Demand a nonce of the issuer in DPoP proofs, so that none can be made in advance (RFC 9449 section 8).",
)
@click.option(
    "--client-rate",
    metavar="RATE[/BURST]",
    help="Requests a second of one client at this replica, and how many at once (default: RATE); left out, any number.",
)
@click.option(
    "--address-rate",
    metavar="RATE[/BURST]",
    help="The same for one address; not where all callers come from the address of a proxy.",
)
@click.option(
    "--internal-jwks-uri",
    is_flag=True,
    envvar="MINTLS_INTERNAL_JWKS_URI",
    help="Fetch a client's keys (jwksURI) from internal addresses, too: of this machine, network, cluster or cloud.",
)
@click.option(
    "--jwks-uri-ca-file",
    default="",
    envvar="MINTLS_JWKS_URI_CA_FILE",
    help="PEM file of CAs for the servers of clients' keys (jwksURI), beside the system's; read at the first fetch.",
)
@click.option(
    "--proxy",
    "proxies",
    multiple=True,
    metavar="NAMESPACE/NAME=FORMAT",
    envvar="MINTLS_PROXIES",
    help="An OAuthClient whose certificate makes a proxy that ends TLS: it is believed what certificates its clients "
    f"have, in one FORMAT of {', '.join(Format)}. Repeatable.",
)
@click.option(
    "--service-account-tokens",
    is_flag=True,
    envvar="MINTLS_SERVICE_ACCOUNT_TOKENS",
    help="Take tokens of service accounts in exchange for clients' tokens (RFC 8693); Kubernetes reviews each.",
)
@click.option(
    "--registration",
    "registrations",
    multiple=True,
    metavar="SECRET=NAMESPACE",
    envvar="MINTLS_REGISTRATIONS",
    help="Whoever has the token in this Secret of the operator's namespace may register clients, which are made in "
    "NAMESPACE (RFC 7591). Repeatable; left out, nobody may.",
)
def issuer(**options: Any) -> None:
    """Issue tokens to clients that prove the key of their certificate in the TLS handshake.

    Where OTEL_EXPORTER_OTLP_ENDPOINT names an OpenTelemetry collector (OTLP over HTTP), each request is traced there.
    """
    configure_logging(options["verbose"])
    try:
        settings = _settings(options)
        _check_ca_file(settings.jwks_uri_ca_file)
        traced = wants_traces(os.environ)
    except InvalidSettings as error:
        raise click.ClickException(str(error)) from error

    async def part(stop: asyncio.Event) -> None:
        connection = ApiClient.connect(
            options["kubeconfig"], service_account=options["service_account"], user_agent="mintls-issuer"
        )
        async with _tracing(wanted=traced) as record, connection as api:
            await run_issuer(settings, api, stop, record=record)

    try:
        run(part)
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from error


@asynccontextmanager
async def _tracing(*, wanted: bool) -> AsyncIterator[Record | None]:
    if not wanted:
        yield None
        return
    from mintls.issuer.tracing import exported_spans  # noqa: PLC0415 - OpenTelemetry costs whoever imports it

    async with exported_spans() as record:
        yield record


def _check_ca_file(path: str) -> None:
    """Say at the start that the file is of no use, rather than at the first fetch.

    Raises:
        InvalidSettings: It cannot be read, or holds no certificate.
    """
    try:
        if path:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError as error:
        raise InvalidSettings(
            f"--jwks-uri-ca-file {path!r} must be a file with CA certificates in PEM: {error}"
        ) from None


def _settings(options: dict[str, Any]) -> Settings:
    return Settings(
        issuer_url=options["issuer_url"],
        mtls_url=options["mtls_url"],
        trust_domain=options["trust_domain"],
        cluster_domain=options["cluster_domain"],
        operator_namespace=options["operator_namespace"],
        open_address=Address(*address(options["open_address"])),
        mtls_address=Address(*address(options["mtls_address"])),
        probe_address=Address(*address(options["probe_address"])),
        ext_authz_address=Address(*address(options["ext_authz_address"])) if options["ext_authz_address"] else None,
        json_bodies=options["json_bodies"],
        dpop_nonce=options["dpop_nonce"],
        internal_jwks_uri=options["internal_jwks_uri"],
        jwks_uri_ca_file=options["jwks_uri_ca_file"],
        client_rate=rate(options["client_rate"], "--client-rate"),
        address_rate=rate(options["address_rate"], "--address-rate"),
        proxies=tuple(map(proxy, options["proxies"])),
        service_account_tokens=options["service_account_tokens"],
        registrations=tuple(map(registration, options["registrations"])),
    )
