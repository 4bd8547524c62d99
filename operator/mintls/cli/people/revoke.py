"""``mintls revoke``: end every certificate of a ClientCertificate. It cannot be taken back."""

from collections.abc import Sequence

import click

from mintls.cli.people.options import Where, ask, people, show
from mintls.kube.client import ApiClient
from mintls.kube.paths import CLIENT_CERTIFICATES

_REVOKED = {"spec": {"revoked": True}}


@click.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@people
def revoke(*, where: Where, names: tuple[str, ...], yes: bool, dry_run: bool) -> None:
    """Revoke every certificate that was issued for the ClientCertificates NAME.

    The token issuer refuses them within a second, and no other is issued. Tokens that were given out live their time:
    `tokensNotBefore` of the OAuthClient ends them. For a new certificate make another ClientCertificate.
    """

    async def there(api: ApiClient) -> str:
        namespace = where.namespace(api)
        for name in names:
            await api.get(CLIENT_CERTIFICATES.item(namespace, name))
        return namespace

    async def revoked(api: ApiClient) -> None:
        for name in names:
            await api.merge_patch(CLIENT_CERTIFICATES.item(namespace, name), _REVOKED)

    # All have to be there before one of them is revoked.
    namespace = ask(where, there)
    if not dry_run:
        if not yes:
            listed = ", ".join(f"{namespace}/{name}" for name in names)
            click.confirm(f"Revoke every certificate of {listed}? It cannot be taken back", abort=True, err=True)
        ask(where, revoked)
    _tell(where, namespace, names, "would be revoked" if dry_run else "revoked")


def _tell(where: Where, namespace: str, names: Sequence[str], outcome: str) -> None:
    data = [{"namespace": namespace, "name": name, "outcome": outcome} for name in names]
    show(where, data, "\n".join(f"ClientCertificate {namespace}/{name}: {outcome}" for name in names))
