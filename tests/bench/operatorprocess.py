"""``mintls operator`` and ``mintls issuer`` as processes beside each other, as an installation has them."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from bench.installation import issuer_command
from bench.machine import running
from builders.world import World, free_port


@dataclass
class Programs:
    """Both of one cluster; the issuer listens at the ports of the world.

    Attributes:
        world: The cluster.
        folder: Of the logs.
        health: Port of the operator's probes and metrics.
        probes: Port of the issuer's.
    """

    world: World
    folder: Path
    health: int = field(default_factory=free_port)
    probes: int = field(default_factory=free_port)

    @contextmanager
    def operator(self, source: Path | None = None) -> Iterator[int]:
        """The operator while the block lasts; gives its process id.

        Args:
            source: Another commit's ``operator`` folder.
        """
        where = self.world.installation
        folder, variables = self.world.service_account("mintls-operator")
        command = [
            *(sys.executable, "-m", "mintls", "operator", "--service-account", str(folder)),
            *("--issuer-url", where.issuer_url, "--mtls-url", where.mtls_url),
            *("--issuer-name", "localhost", "--issuer-name", "127.0.0.1"),
            *("--issuer-replica", f"127.0.0.1:{self.world.ports[1]}"),
            *("--health-address", f"127.0.0.1:{self.health}"),
        ]
        environment = os.environ | variables
        environment |= {"PYTHONPATH": f"{source}:{environment.get('PYTHONPATH', '')}"} if source else {}
        with running(command, self.operator_log, environment) as pid:
            yield pid

    @contextmanager
    def issuer(self) -> Iterator[int]:
        """The issuer while the block lasts; gives its process id."""
        command, variables = issuer_command(self.world, self.world.ports, self.probes)
        with running(command, self.issuer_log, os.environ | variables) as pid:
            yield pid

    @property
    def operator_log(self) -> Path:
        """Its output."""
        return self.folder / "operator.log"

    @property
    def issuer_log(self) -> Path:
        """Its output."""
        return self.folder / "issuer.log"

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of the operator's samples of that name with these labels; 0 while it does not answer."""
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{self.health}/metrics") as got,
            ):
                text = await got.text()
        except aiohttp.ClientError:
            return 0.0
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )
