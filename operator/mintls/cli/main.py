"""``mintls``: the one program, a subcommand for each part.

A subcommand's module is imported when it is run: the operator's libraries take a second, which neither the issuer nor
a person who asks a question should wait for.
"""

from importlib import import_module

import click

_COMMANDS = {
    "operator": ("mintls.cli.operator", "Watch the custom resources, and make them true."),
    "issuer": ("mintls.cli.issuer", "Issue tokens to clients that prove the key of their certificate."),
    "status": ("mintls.cli.people.status", "What is well, what is due, what is wrong and what to do."),
    "check": ("mintls.cli.people.check", "Is everything there that an installation needs?"),
    "inspect": ("mintls.cli.people.inspect", "What is in a credential's Secret, and does it fit?"),
    "renew": ("mintls.cli.people.renew", "Have another certificate issued now."),
    "rekey": ("mintls.cli.people.renew", "Have another certificate with another key issued now."),
    "revoke": ("mintls.cli.people.revoke", "End every certificate of a ClientCertificate, for good."),
    "rotate-root": ("mintls.cli.people.rotateroot", "Replace the root of an authority by another one."),
    "remove-signing-key": ("mintls.cli.people.removesigningkey", "Remove a signing key of tokens, at once."),
    "token": ("mintls.cli.people.token", "Get a token with a Secret's credential, and say what is in it."),
    "version": ("mintls.cli.version", "Print the version."),
}
"""Name to module and to the line of the help; the module has the command under its name, as Python spells it."""


class _Lazily(click.Group):
    """A group that imports a command when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - the signature is click's
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - as above
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(_COMMANDS[cmd_name][0]), cmd_name.replace("-", "_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


@click.group(cls=_Lazily, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
def main() -> None:
    """OAuth 2.0 clients on Kubernetes whose only credential is a short-lived certificate."""
