"""``mintls remove-signing-key``: a signing key that somebody else may have is gone at once, not in due time."""

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import click

from mintls.cli.people.options import Where, ask, people, show
from mintls.controllers.signingkeys import FILE, NAME, new_signing_key
from mintls.core.oauth.signing_keys import (
    SigningKey,
    SigningKeysBroken,
    decode_signing_keys,
    encode_signing_keys,
    signing_key,
)
from mintls.kube.client import ApiClient
from mintls.kube.paths import SECRETS

_NAMESPACE = "mintls-system"


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
    path = SECRETS.item(where.given_namespace or _NAMESPACE, NAME)
    secret = ask(where, lambda api: api.get(path))
    keys, now = _read(secret), datetime.now(UTC)
    if kid is None:
        show(where, [_told(key, keys, now) for key in keys], "\n".join(_line(key, keys, now) for key in keys))
        return
    left = tuple(key for key in keys if key.kid != kid)
    if len(left) == len(keys):
        known = ", ".join(key.kid for key in keys)
        raise click.ClickException(f"there is no signing key {kid}: the keys are {known}")
    if not dry_run and not yes:
        click.confirm(f"Remove signing key {kid}? Its tokens are refused from now on", abort=True, err=True)
    gone = next(key for key in keys if key.kid == kid)
    left = _with_a_signer(left, now, gone.alg)
    if not dry_run:
        ask(where, lambda api: _write(api, path, secret, left))
    outcome = "would be removed" if dry_run else "removed"
    signer = signing_key(left, now)
    then = {"signs": signer.kid if signer and not dry_run else ""}
    show(where, {"kid": kid, "outcome": outcome, **then}, f"signing key {kid}: {outcome}")


def _with_a_signer(keys: tuple[SigningKey, ...], now: datetime, alg: str) -> tuple[SigningKey, ...]:
    """An issuer that is left without keys would go on with those that it had."""
    made = () if keys else (new_signing_key(now, now.replace(microsecond=0), alg),)
    return (*keys, *made)


def _read(secret: dict[str, Any]) -> tuple[SigningKey, ...]:
    try:
        return decode_signing_keys(base64.b64decode((secret.get("data") or {}).get(FILE, ""), validate=True))
    except (SigningKeysBroken, binascii.Error) as error:
        raise click.ClickException(f"Secret {NAME} cannot be read: {error}") from None


async def _write(api: ApiClient, path: str, secret: dict[str, Any], keys: Sequence[SigningKey]) -> None:
    """Only if nobody else has changed it meanwhile."""
    data = {FILE: base64.b64encode(encode_signing_keys(keys)).decode()}
    await api.merge_patch(path, {"metadata": {"resourceVersion": secret["metadata"]["resourceVersion"]}, "data": data})


def _told(key: SigningKey, keys: Sequence[SigningKey], now: datetime) -> dict[str, Any]:
    return {
        "kid": key.kid,
        "alg": key.alg,
        "signs": key == signing_key(keys, now),
        "signFrom": key.sign_from.isoformat(),
        "retireAt": key.retire_at.isoformat() if key.retire_at else None,
    }


def _line(key: SigningKey, keys: Sequence[SigningKey], now: datetime) -> str:
    told = _told(key, keys, now)
    until = f", gone at {told['retireAt']}" if told["retireAt"] else ""
    return f"{key.kid}  {key.alg}  {'signs' if told['signs'] else 'signs from'} {told['signFrom']}{until}"
