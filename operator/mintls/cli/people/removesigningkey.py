"""``mintls remove-signing-key``: a signing key that somebody else may have is gone at once, not in due time."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click

from mintls.cli.people.options import Where, ask, people, show
from mintls.controllers import clientsigningkeys
from mintls.controllers.signingkeys import FILE, NAME, new_signing_key
from mintls.core.oauth.signing_keys import (
    SigningKey,
    SigningKeysBroken,
    decode_signing_keys,
    encode_signing_keys,
    signing_key,
)
from mintls.kube.client import ApiClient
from mintls.kube.errors import NotFound
from mintls.kube.paths import SECRETS

_NAMESPACE = "mintls-system"


@dataclass(frozen=True)
class _Set:
    """The keys of one file of one Secret; ``of`` says whose they are, "" for the issuer's own."""

    secret: dict[str, Any]
    file: str
    of: str
    keys: tuple[SigningKey, ...]


@click.command("remove-signing-key")
@click.argument("kid", required=False, metavar="[KID]")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@people
def remove_signing_key(*, where: Where, kid: str | None, yes: bool, dry_run: bool) -> None:
    """Remove a key that tokens are signed with, at once; without KID, list the keys that there are.

    For a key that somebody else may have: every token that it signed is refused by the issuer from then on, and by a
    resource when it reads the key set again. Another key signs; if none is left, one is made that signs at once. The
    namespace is the operator's, mintls-system if none is given.
    """
    namespace, now = where.given_namespace or _NAMESPACE, datetime.now(UTC)
    sets = ask(where, lambda api: _sets(api, namespace))
    if kid is None:
        every = [(key, one) for one in sets for key in one.keys]
        show(where, [_told(*each, now) for each in every], "\n".join(_line(*each, now) for each in every))
        return
    found = next(((key, one) for one in sets for key in one.keys if key.kid == kid), None)
    if found is None:
        known = ", ".join(key.kid for one in sets for key in one.keys)
        raise click.ClickException(f"there is no signing key {kid}: the keys are {known}")
    if not dry_run and not yes:
        click.confirm(f"Remove signing key {kid}? Its tokens are refused from now on", abort=True, err=True)
    gone, of = found
    left = _with_a_signer(tuple(key for key in of.keys if key.kid != kid), now, gone.alg)
    if not dry_run:
        ask(where, lambda api: _write(api, of, left))
    outcome = "would be removed" if dry_run else "removed"
    signer = signing_key(left, now)
    then = {"signs": signer.kid if signer and not dry_run else ""}
    show(where, {"kid": kid, "outcome": outcome, **then}, f"signing key {kid}: {outcome}")


def _with_a_signer(keys: tuple[SigningKey, ...], now: datetime, alg: str) -> tuple[SigningKey, ...]:
    """An issuer that is left without keys would go on with those that it had, or sign nothing."""
    made = () if keys else (new_signing_key(now, now.replace(microsecond=0), alg),)
    return (*keys, *made)


async def _sets(api: ApiClient, namespace: str) -> list[_Set]:
    """The issuer's own keys, and those that clients ask for, if any."""
    own = await api.get(SECRETS.item(namespace, NAME))
    try:
        asked = await api.get(SECRETS.item(namespace, clientsigningkeys.NAME))
    except NotFound:
        asked = {}
    sets = [_Set(own, FILE, "", _read(own, FILE))]
    return sets + [
        _Set(asked, file, file.removesuffix(".json"), _read(asked, file)) for file in asked.get("data") or {}
    ]


def _read(secret: dict[str, Any], file: str) -> tuple[SigningKey, ...]:
    try:
        return decode_signing_keys(base64.b64decode((secret.get("data") or {}).get(file, ""), validate=True))
    except (SigningKeysBroken, binascii.Error) as error:
        name = secret["metadata"]["name"]
        raise click.ClickException(f"{file} of Secret {name} cannot be read: {error}") from None


async def _write(api: ApiClient, of: _Set, keys: Sequence[SigningKey]) -> None:
    """Only if nobody else has changed it meanwhile."""
    meta, data = of.secret["metadata"], {of.file: base64.b64encode(encode_signing_keys(keys)).decode()}
    path = SECRETS.item(meta["namespace"], meta["name"])
    await api.merge_patch(path, {"metadata": {"resourceVersion": meta["resourceVersion"]}, "data": data})


def _told(key: SigningKey, of: _Set, now: datetime) -> dict[str, Any]:
    return {
        "kid": key.kid,
        "alg": key.alg,
        "for": of.of,
        "signs": key == signing_key(of.keys, now),
        "signFrom": key.sign_from.isoformat(),
        "retireAt": key.retire_at.isoformat() if key.retire_at else None,
    }


def _line(key: SigningKey, of: _Set, now: datetime) -> str:
    told = _told(key, of, now)
    until = f", gone at {told['retireAt']}" if told["retireAt"] else ""
    whose = f"  {of.of}" if of.of else ""
    return f"{key.kid}  {key.alg}  {'signs' if told['signs'] else 'signs from'} {told['signFrom']}{until}{whose}"
