"""``mintls operator``: reconciles the custom resources."""

import asyncio
import logging
import os
import secrets
import socket
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import click

from mintls.cli.logs import configure_logging
from mintls.cli.options import address, shared
from mintls.cli.running import run
from mintls.controllers.health import serve_health
from mintls.controllers.metrics import Metrics
from mintls.controllers.operator import LeaseLostError, Operator
from mintls.controllers.settings import OperatorSettings
from mintls.core.oauth.signing_algorithms import ALGORITHMS
from mintls.kube.client import ApiClient
from mintls.kube.errors import ConfigurationError
from mintls.reconcile.installation import Installation

logger = logging.getLogger(__name__)


@click.command()
@shared
@click.option(
    "--issuer-name",
    "issuer_names",
    multiple=True,
    help="DNS name or IP address in the issuer's certificate, beside the hosts of the two URLs; repeatable.",
)
@click.option(
    "--issuer-service",
    default="mintls-issuer",
    show_default=True,
    help="Service in the operator's namespace whose ready endpoints are the issuer's replicas.",
)
@click.option(
    "--issuer-replica",
    "issuer_replicas",
    multiple=True,
    help="HOST:PORT of an issuer replica's mTLS listener, where there is no Service; repeatable, all have to answer.",
)
@click.option("--authority", default="default", show_default=True, help="CertificateAuthority of the issuer itself.")
@click.option("--create-authority", is_flag=True, help="Make that authority where there never was one.")
@click.option(
    "--signing-algorithm",
    type=click.Choice(ALGORITHMS),
    default="ES256",
    show_default=True,
    envvar="MINTLS_SIGNING_ALGORITHM",
    help="What tokens are signed with. A key for another one is published a day before it signs.",
)
@click.option("--health-address", default=":8080", show_default=True, help="Where probes and metrics are served.")
@click.option("--lease-seconds", default=15, show_default=True, help="How soon another replica takes over.")
@click.option("--workers", default=16, show_default=True, help="Objects that are looked at side by side.")
def operator(**options: Any) -> None:
    """Watch OAuthClients, ClientCertificates and CertificateAuthorities, and make them true."""
    configure_logging(options["verbose"])
    settings = _settings(options)
    host, port = address(options["health_address"])

    async def part(stop: asyncio.Event) -> None:
        configuration = (options["kubeconfig"], options["service_account"])
        await _run(settings, configuration, host, port, stop)

    try:
        run(part)
    except ConfigurationError as error:
        raise click.ClickException(str(error)) from error
    except LeaseLostError as error:
        raise click.ClickException(f"{error}: this replica ends, and begins anew when it is restarted") from error


def _settings(options: dict[str, Any]) -> OperatorSettings:
    hosts = [urlsplit(options[url]).hostname or "" for url in ("issuer_url", "mtls_url")]
    installation = Installation(
        trust_domain=options["trust_domain"],
        cluster_domain=options["cluster_domain"],
        operator_namespace=options["operator_namespace"],
        issuer_url=options["issuer_url"],
        mtls_url=options["mtls_url"],
        issuer_names=tuple(dict.fromkeys([*hosts, *options["issuer_names"]])),
    )
    return OperatorSettings(
        installation=installation,
        # A restarted container has its pod's name again, so the name alone would take it for the holder of before.
        identity=f"{os.environ.get('POD_NAME') or socket.gethostname()}_{secrets.token_hex(4)}",
        authority=options["authority"],
        create_authority=options["create_authority"],
        issuer_service=options["issuer_service"],
        issuer_replicas=options["issuer_replicas"],
        signing_algorithm=options["signing_algorithm"],
        workers=options["workers"],
        lease_seconds=options["lease_seconds"],
    )


async def _run(
    settings: OperatorSettings,
    configuration: tuple[str | None, str | None],
    host: str,
    port: int,
    stop: asyncio.Event,
) -> None:
    metrics = Metrics()
    kubeconfig, account = configuration
    async with ApiClient.connect(
        kubeconfig, service_account=account, user_agent="mintls-operator", on_request=metrics.request_made
    ) as api:
        operator = Operator(settings, api, lambda: datetime.now(UTC), metrics)
        async with serve_health(
            host,
            port,
            live=operator.live,
            ready=operator.ready,
            observe=operator.observe,
            registry=metrics.registry,
        ):
            await operator.run(stop)
    logger.info("stopped")
