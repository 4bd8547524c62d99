"""The command as a process: probes, metrics, logs, and a clean end."""

import asyncio
import json
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress

import aiohttp
import pytest

from builders.collector import running_collector
from builders.world import SYSTEM, World, eventually, free_port
from mintls.kube.paths import CLIENT_CERTIFICATES, LEASES, OAUTH_CLIENTS

pytestmark = pytest.mark.cluster


# As in a container: its user is a number that has no name.
NAMELESS = """
import getpass, runpy
def nobody():
    raise OSError("No username set in the environment")
getpass.getuser = nobody
runpy.run_module("mintls", run_name="__main__", alter_sys=True)
"""


async def start(world: World, part: str, *arguments: str, **environment: str) -> Process:
    """As in a pod, by a service account that is mounted."""
    folder, variables = world.service_account(f"mintls-{part}")
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        NAMELESS,
        part,
        *("--service-account", str(folder)),
        *("--issuer-url", world.installation.issuer_url),
        *("--mtls-url", world.installation.mtls_url),
        *arguments,
        env={name: value for name, value in os.environ.items() if name != "KUBECONFIG"} | variables | environment,
        stdout=DEVNULL,
        stderr=PIPE,
    )


async def ask(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def test_operator_and_issuer_start_report_and_stop(world: World) -> None:
    await world.authority()
    health, probes = free_port(), free_port()
    operator = await start(
        world,
        "operator",
        *("--issuer-replica", f"127.0.0.1:{world.ports[1]}"),
        *("--health-address", f"127.0.0.1:{health}"),
    )
    issuer = await start(
        world,
        "issuer",
        *("--address", f"127.0.0.1:{world.ports[0]}"),
        *("--mtls-address", f"127.0.0.1:{world.ports[1]}"),
        *("--probe-address", f"127.0.0.1:{probes}"),
    )
    shop = await world.namespace()
    await world.client(shop)
    await world.certificate(shop)
    await world.ready(CLIENT_CERTIFICATES, shop, "billing", within=30)
    await world.ready(OAUTH_CLIENTS, shop, "billing", within=30)

    for port in (health, probes):
        assert (await ask(f"http://127.0.0.1:{port}/livez"))[0] == 200
        assert (await ask(f"http://127.0.0.1:{port}/readyz"))[0] == 200
    _, metrics = await ask(f"http://127.0.0.1:{health}/metrics")
    assert "mintls_leading 1.0" in metrics
    assert 'mintls_reconciliations_total{kind="ClientCertificate",outcome="ok"}' in metrics
    assert 'mintls_objects{kind="OAuthClient"} 1.0' in metrics

    began = time.monotonic()
    for process in (operator, issuer):
        process.send_signal(signal.SIGTERM)
    outputs = await asyncio.gather(*(process.communicate() for process in (operator, issuer)))
    took = time.monotonic() - began

    assert (operator.returncode, issuer.returncode) == (0, 0), outputs
    assert took < 8
    lines = [json.loads(line) for line in outputs[0][1].splitlines()]
    [issued] = [line for line in lines if line.get("reason") == "Issued"]
    assert (issued["kind"], issued["namespace"], issued["name"], issued["generation"]) == (
        "ClientCertificate",
        shop,
        "billing",
        1,
    )
    assert not [line for line in lines if line["level"] != "INFO"]

    async def released() -> bool:
        return not (await world.get(LEASES, SYSTEM, "mintls-operator"))["spec"].get("holderIdentity")

    await eventually(released, within=2)


async def test_a_wrong_option_is_answered_with_what_would_be_right(world: World) -> None:
    process = await start(world, "operator", "--health-address", "nonsense")
    _, errors = await process.communicate()

    assert process.returncode == 2
    assert "'nonsense' must be HOST:PORT or :PORT, such as 127.0.0.1:8081 or :8081" in errors.decode()


async def test_an_issuer_that_is_told_of_a_collector_sends_spans_and_the_last_ones_when_it_ends(world: World) -> None:
    await world.authority()
    await world.operator()
    probes = free_port()
    with running_collector() as collector:
        issuer = await start(
            world,
            "issuer",
            *("--address", f"127.0.0.1:{world.ports[0]}"),
            *("--mtls-address", f"127.0.0.1:{world.ports[1]}"),
            *("--probe-address", f"127.0.0.1:{probes}"),
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            OTEL_BSP_SCHEDULE_DELAY="600000",
        )

        async def ready() -> bool:
            with suppress(aiohttp.ClientError):
                return (await ask(f"http://127.0.0.1:{probes}/readyz"))[0] == 200
            return False

        await eventually(ready, within=60)
        url = f"https://127.0.0.1:{world.ports[0]}/jwks"
        asked = await asyncio.create_subprocess_exec("curl", "-sfk", url, stdout=DEVNULL)
        assert await asked.wait() == 0
        issuer.send_signal(signal.SIGTERM)
        _, log = await asyncio.wait_for(issuer.communicate(), 30)
        assert issuer.returncode == 0, log.decode()
        assert [span.name for span in collector.spans] == ["GET /jwks"]
        assert collector.resource["service.name"] == "mintls-issuer"
