"""``mintls status``."""

from datetime import UTC, datetime

import click

from mintls.cli.people.options import WRONG, Where, ask, people, show
from mintls.cli.people.report import Line, State, as_data, as_text, line_of
from mintls.kube.client import ApiClient
from mintls.kube.paths import CERTIFICATE_AUTHORITIES, CLIENT_CERTIFICATES, OAUTH_CLIENTS


@click.command()
@click.option("-A", "--all-namespaces", is_flag=True, help="Of all namespaces.")
@people
def status(*, where: Where, all_namespaces: bool) -> None:
    """Authorities, clients and certificates: what is well, what is due, what is wrong and what to do.

    The exit status is 0 if all is well or on its way, 1 if something needs somebody.
    """
    now = datetime.now(UTC)

    async def read(api: ApiClient) -> list[Line]:
        namespace = None if all_namespaces else where.namespace(api)
        places = ((CERTIFICATE_AUTHORITIES, None), (OAUTH_CLIENTS, namespace), (CLIENT_CERTIFICATES, namespace))
        return [
            # Items of a list do not say what they are.
            line_of({"kind": resource.kind, **item}, now)
            for resource, place in places
            async for page in api.list_pages(resource.collection(place))
            for item in page["items"]
        ]

    lines = ask(where, read)
    show(where, as_data(lines), as_text(lines, now))
    if any(line.state is State.WRONG for line in lines):
        raise click.exceptions.Exit(WRONG)
