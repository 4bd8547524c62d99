"""``mintls rotate-root``: another root for an authority, followed until it signs, or the undoing of that."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import click

from mintls.api.v1alpha1.certificateauthority import HOLD_ROTATION, ROTATE_REQUESTED
from mintls.cli.people.options import WRONG, Where, ask, people, show
from mintls.kube.client import ApiClient
from mintls.kube.paths import CERTIFICATE_AUTHORITIES

_LOOK_SECONDS = 1.0


@click.command("rotate-root")
@click.argument("name", default="default", metavar="[AUTHORITY]")
@click.option("--abort", is_flag=True, help="Undo a rotation whose root does not sign yet, and begin none from now on.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--wait/--no-wait", default=True, help="Follow it until the new root signs.", show_default=True)
@click.option("--timeout", default=7200.0, show_default=True, help="Seconds to wait at most.")
@people
def rotate_root(*, where: Where, name: str, abort: bool, yes: bool, dry_run: bool, wait: bool, timeout: float) -> None:
    """Replace the root of a CertificateAuthority by another one, without a request that fails.

    The next root is made known first, signs when everybody was seen to trust it, and the one before is trusted until
    its last certificate has ended. The operator goes on with it when this command is interrupted.
    """
    path = CERTIFICATE_AUTHORITIES.item(None, name)
    authority = ask(where, lambda api: api.get(path))
    _refuse_foreign_root(name, authority["spec"])
    value = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    wanted = {HOLD_ROTATION: value} if abort else {ROTATE_REQUESTED: value, HOLD_ROTATION: None}
    if dry_run:
        _tell(where, name, f"would {_deed(authority, abort=abort)}", _rotation(authority))
        return
    if not yes:
        click.confirm(f"CertificateAuthority {name}: {_deed(authority, abort=abort)}?", abort=True, err=True)
    ask(where, lambda api: api.merge_patch(path, {"metadata": {"annotations": wanted}}))
    if abort or not wait:
        _tell(where, name, "asked for", _rotation(authority))
        return
    before = _signing_key(authority)
    last = ask(where, lambda api: _follow(api, path, before, timeout, quiet=where.output != "text"))
    done = _signing_key(last) != before
    _tell(where, name, "the new root signs" if done else f"not within {timeout:g} s; it goes on", _rotation(last))
    if not done:
        raise click.exceptions.Exit(WRONG)


def _refuse_foreign_root(name: str, spec: Mapping[str, Any]) -> None:
    """What would never come to be is not asked for, and not waited for."""
    pages = {"secretRef": "docs/own-ca.md", "external": "docs/external-ca.md"}
    source = next((source for source in pages if source in spec), "")
    if source:
        raise click.ClickException(
            f"the root of CertificateAuthority {name} is somebody else's (spec.{source}), who replaces it: see "
            f"{pages[source]}"
        )


def _deed(authority: Mapping[str, Any], *, abort: bool) -> str:
    phase = _rotation(authority).get("phase", "")
    if not abort:
        later = " when the present rotation has ended" if phase in {"Reissuing", "Retiring"} else ""
        return f"replace the root by another one{later}"
    if phase == "Preparing":
        return "take the next root away, which signed nothing, and begin no rotation"
    return "begin no rotation" + ("; the present one cannot be undone, its root signs already" if phase else "")


def _rotation(authority: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = authority.get("status", {}).get("rotation") or {}
    return found


def _signing_key(authority: Mapping[str, Any]) -> str:
    """Fingerprint of the root key that signs; "" for an authority that has none yet."""
    keys = authority.get("status", {}).get("keys", ())
    return next((str(key["fingerprint"]) for key in keys if key["role"] == "active"), "")


async def _follow(api: ApiClient, path: str, before: str, seconds: float, *, quiet: bool) -> dict[str, Any]:
    """The authority when another root signs, or as it is when the time is over; each new message is shown."""
    shown = ""
    async for authority in _looks(api, path, seconds):
        rotation = _rotation(authority)
        line = f"{rotation['phase']}: {rotation['message']}" if rotation else "not begun yet"
        if line != shown and not quiet:
            click.echo(line, err=True)
        shown, last = line, authority
        if _signing_key(authority) != before:
            break
    return last


async def _looks(api: ApiClient, path: str, seconds: float) -> AsyncIterator[dict[str, Any]]:
    """The object again and again, once at least."""
    end = asyncio.get_running_loop().time() + seconds
    while True:
        yield await api.get(path)
        if asyncio.get_running_loop().time() + _LOOK_SECONDS > end:
            return
        await asyncio.sleep(_LOOK_SECONDS)


def _tell(where: Where, name: str, outcome: str, rotation: Mapping[str, Any]) -> None:
    about = f"; {rotation['phase']}: {rotation['message']}" if rotation else ""
    show(
        where,
        {"name": name, "outcome": outcome, "rotation": rotation},
        f"CertificateAuthority {name}: {outcome}{about}",
    )
