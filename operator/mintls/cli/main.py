"""``mintls``: the one program, a subcommand for each part."""

import click

from mintls.cli.issuer import issuer
from mintls.cli.operator import operator
from mintls.cli.version import version


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
def main() -> None:
    """OAuth 2.0 clients on Kubernetes whose only credential is a short-lived certificate."""


main.add_command(operator)
main.add_command(issuer)
main.add_command(version)
