"""Options that the commands share, spelled as kubectl spells them, and the way from them to the API."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import click
import yaml

from mintls.kube.client import ApiClient
from mintls.kube.errors import KubeError

WRONG = 1
"""Exit status: something is not as it should be."""

_OPTIONS = (
    click.option("--kubeconfig", type=click.Path(dir_okay=False), help="Kubeconfig file. Left out: as kubectl does."),
    click.option("--context", help="Context of the kubeconfig."),
    click.option("-n", "--namespace", help="Namespace. Left out: the context's."),
    click.option(
        "-o",
        "--output",
        type=click.Choice(["text", "json", "yaml"]),
        default="text",
        show_default=True,
        help="How the answer is written.",
    ),
)


@dataclass(frozen=True, slots=True)
class Where:
    """Which cluster and namespace are meant, and how the answer is written."""

    kubeconfig: str | None
    context: str | None
    given_namespace: str | None
    output: str

    def namespace(self, api: ApiClient) -> str:
        """The namespace that was named, else the context's."""
        return self.given_namespace or api.credentials.namespace


def people(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the shared options to a command; it is called with ``where`` in their place."""

    def called(
        *arguments: Any, kubeconfig: str | None, context: str | None, namespace: str | None, output: str, **rest: Any
    ) -> Any:
        return command(*arguments, where=Where(kubeconfig, context, namespace, output), **rest)

    called.__doc__, called.__name__ = command.__doc__, command.__name__
    called.__click_params__ = getattr(command, "__click_params__", [])  # type: ignore[attr-defined]
    whole: Callable[..., Any] = called
    for option in reversed(_OPTIONS):
        whole = option(whole)
    return whole


def ask[T](where: Where, question: Callable[[ApiClient], Awaitable[T]]) -> T:
    """Run *question* against the cluster.

    Raises:
        click.ClickException: With the API's or the configuration's own words.
    """

    async def connected() -> T:
        async with ApiClient.connect(where.kubeconfig, where.context, user_agent="kubectl-mintls") as api:
            return await question(api)

    try:
        return asyncio.run(connected())
    except KubeError as error:
        raise click.ClickException(str(error)) from error


def show(where: Where, data: Any, text: str) -> None:
    """Print *data* as JSON or YAML, or *text* for a person."""
    match where.output:
        case "json":
            click.echo(json.dumps(data, indent=2))
        case "yaml":
            # Over JSON: PyYAML takes no text of a type of its own, such as a StrEnum's.
            click.echo(yaml.safe_dump(json.loads(json.dumps(data)), sort_keys=False).rstrip())
        case _:
            click.echo(text)
