"""``mintls``: the one program, a subcommand for each part."""

import click

from mintls.cli.issuer import issuer
from mintls.cli.operator import operator
from mintls.cli.people.check import check
from mintls.cli.people.inspect import inspect
from mintls.cli.people.renew import rekey, renew
from mintls.cli.people.status import status
from mintls.cli.version import version


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
def main() -> None:
    """OAuth 2.0 clients on Kubernetes whose only credential is a short-lived certificate."""


for command in (operator, issuer, status, check, inspect, renew, rekey, version):
    main.add_command(command)
