"""``mintls token``: an access token with the credential of a Secret, and what is in it."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import click

from mintls.cli.people.credential import Finding, as_data, as_text
from mintls.cli.people.explanation import explain
from mintls.cli.people.options import WRONG, Where, ask, people, show
from mintls.cli.people.reach import Answer, Issuer, issuer_with
from mintls.core.oauth.metadata import well_known_paths
from mintls.core.pki.certificate import load_pem_chain, thumbprint
from mintls.core.pki.errors import InvalidCertificate
from mintls.kube.client import ApiClient
from mintls.kube.paths import SECRETS

_NEEDED = ("tls.crt", "tls.key", "ca.crt", "client-id", "issuer", "token-endpoint")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for: RFC 6749 section 4.4.2, RFC 8707 section 2."""

    scope: str | None
    resources: tuple[str, ...]

    def form(self, client_id: str) -> dict[str, Any]:
        """The request."""
        optional = {"scope": self.scope, "resource": list(self.resources)}
        whole = {"grant_type": "client_credentials", "client_id": client_id}
        return whole | {name: value for name, value in optional.items() if value}


@dataclass(frozen=True, slots=True)
class Fetched:
    """A token, and what can be said of it."""

    token: str
    findings: list[Finding]


@click.command()
@click.argument("secret")
@click.option("--scope", help="Scopes, separated by blanks. Left out: the client's default.")
@click.option("--resource", "resources", multiple=True, help="An audience; repeatable. Left out: all of the client's.")
@click.option("--connect-to", metavar="HOST:PORT", help="Where the issuer's mTLS listener is reached from here.")
@click.option("--raw", is_flag=True, help="Print the token and nothing else: it is a credential.")
@people
def token(
    *, where: Where, secret: str, scope: str | None, resources: tuple[str, ...], connect_to: str | None, raw: bool
) -> None:
    """Get a token with the credential in SECRET, and say what is in it and whether it can be believed.

    A name inside the cluster is reached by `kubectl port-forward`. Without --raw the token itself is not shown. The
    exit status is 1 if none was given, or something in it does not fit.
    """

    async def fetched(api: ApiClient) -> Fetched:
        files = _files(await api.get(SECRETS.item(where.namespace(api), secret)), secret)
        async with issuer_with(files, files["token-endpoint"].decode(), where, connect_to) as issuer:
            return await _fetch(issuer, files, Wanted(scope, resources))

    found = ask(where, fetched)
    well = all(one.well for one in found.findings)
    if raw and well:
        click.echo(found.token)
    else:
        show(where, as_data(found.findings), as_text(found.findings))
    if not well:
        raise click.exceptions.Exit(WRONG)


def _files(secret: Mapping[str, Any], name: str) -> dict[str, bytes]:
    data: Mapping[str, str] = secret.get("data") or {}
    missing = [one for one in _NEEDED if one not in data]
    if missing:
        raise click.ClickException(f"Secret {name} is no credential of a client: it lacks {', '.join(missing)}")
    return {one: base64.b64decode(data[one]) for one in _NEEDED}


async def _fetch(issuer: Issuer, files: Mapping[str, bytes], wanted: Wanted) -> Fetched:
    answer = await issuer.post(urlsplit(issuer.base).path, wanted.form(files["client-id"].decode()))
    if answer.status != 200 or "access_token" not in answer.body:
        return Fetched("", [_refusal(answer)])
    named = files["issuer"].decode()
    metadata = await issuer.get(well_known_paths(named)[0])
    jwks = await issuer.get(urlsplit(metadata["jwks_uri"]).path)
    try:
        leaf = load_pem_chain(files["tls.crt"])[0]
    except InvalidCertificate as error:
        raise click.ClickException(f"tls.crt: {error}") from error
    findings = explain(answer.body["access_token"], jwks, named, thumbprint(leaf), datetime.now(UTC))
    return Fetched(answer.body["access_token"], findings)


def _refusal(answer: Answer) -> Finding:
    """What the issuer said (RFC 6749 section 5.2); why it refuses a client stands in its audit log alone."""
    said = f"{answer.body.get('error', 'no token')}: {answer.body.get('error_description', 'no reason given')}"
    advice = f"`kubectl mintls inspect` says what does not fit, the issuer's log why: request {answer.request_id}"
    return Finding("token", well=False, text=f"HTTP {answer.status}, {said}; {advice}")
