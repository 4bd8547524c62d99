"""Helm, as its users run it."""

import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from builders.world import REPOSITORY

CHART = REPOSITORY / "charts" / "mintls"
SYSTEM = "mintls-system"

type Object = dict[str, Any]


class HelmRefusedError(Exception):
    """Helm ended with an error; the message is what it wrote."""


@dataclass(frozen=True)
class Helm:
    """The program, with folders and environment of its own.

    Attributes:
        program: Where it is.
        home: For its caches.
        environment: On top of this process's.
    """

    program: Path
    home: Path
    environment: dict[str, str] = field(default_factory=dict)

    def run(self, *arguments: str | Path) -> str:
        """What it prints."""
        own = {"HOME": str(self.home), "XDG_CACHE_HOME": str(self.home), "HELM_NAMESPACE": SYSTEM}
        done = subprocess.run(
            [self.program, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | own | self.environment,
        )
        if done.returncode:
            raise HelmRefusedError(done.stdout + done.stderr)
        return done.stdout

    def template(self, *arguments: str | Path, chart: Path = CHART) -> list[Object]:
        """The objects of the chart."""
        return [one for one in yaml.safe_load_all(self.run("template", "mintls", chart, *arguments)) if one]


def named(objects: list[Object], kind: str, name: str) -> Object:
    """The one object of that kind and name."""
    (found,) = [one for one in objects if one["kind"] == kind and one["metadata"]["name"] == name]
    return found


def pods(objects: list[Object]) -> dict[str, Object]:
    """Pod templates by the name of their Deployment."""
    return {one["metadata"]["name"]: one["spec"]["template"] for one in objects if one["kind"] == "Deployment"}


def container(objects: list[Object], component: str) -> Object:
    """The container of a component."""
    (only,) = pods(objects)[f"mintls-{component}"]["spec"]["containers"]
    return dict(only)
