"""``mintls renew`` and ``mintls rekey``: another certificate now, without touching the spec."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import click

from mintls.api.v1alpha1.clientcertificate import REKEY_REQUESTED, RENEW_REQUESTED
from mintls.cli.people.options import WRONG, Where, ask, people, show
from mintls.kube.client import ApiClient
from mintls.kube.errors import ApiError
from mintls.kube.paths import CLIENT_CERTIFICATES

_LOOK_SECONDS = 0.25
_OBSERVED = {RENEW_REQUESTED: "observedRenewRequest", REKEY_REQUESTED: "observedRekeyRequest"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request."""

    name: str
    namespace: str
    done: bool
    message: str


@dataclass(frozen=True, slots=True)
class Request:
    """Another certificate is asked for by the *value* of an *annotation*."""

    namespace: str
    name: str
    annotation: str
    value: str

    @property
    def path(self) -> str:
        """Where the ClientCertificate is."""
        return CLIENT_CERTIFICATES.item(self.namespace, self.name)

    def outcome(self, message: str, *, done: bool) -> Outcome:
        """What became of it."""
        return Outcome(self.name, self.namespace, done, message)


def outcome_of(item: Mapping[str, Any], request: Request) -> Outcome | None:
    """What became of *request*, as the object shows it; None while it is not known yet."""
    status = item.get("status", {})
    conditions = {condition["type"]: condition for condition in status.get("conditions", ())}
    if status.get(_OBSERVED[request.annotation]) != request.value:
        return None
    told = conditions.get("Issuing") or conditions.get("Ready", {})
    done = "Issuing" not in conditions and told.get("status") == "True"
    message = (
        f"serial number {status['serialNumber']}, valid until {status['notAfter']}, renewal at {status['renewalTime']}"
        if done
        else f"{told.get('reason')}: {told.get('message')}"
    )
    return request.outcome(message, done=done)


def _command(name: str, annotation: str, doc: str) -> click.Command:
    @click.command(name, help=doc)
    @click.argument("names", nargs=-1, required=True, metavar="NAME...")
    @click.option("--wait/--no-wait", default=True, help="Wait until it is done.", show_default=True)
    @click.option("--timeout", default=60.0, show_default=True, help="Seconds to wait at most.")
    @click.option("--dry-run", is_flag=True, help="Only say what would be done.")
    @people
    def command(*, where: Where, names: tuple[str, ...], wait: bool, timeout: float, dry_run: bool) -> None:
        value = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")

        async def one(api: ApiClient, name: str) -> Outcome:
            request = Request(where.namespace(api), name, annotation, value)
            if dry_run:
                await api.get(request.path)
                return request.outcome(f"would set the annotation {annotation}={value}", done=True)
            await api.merge_patch(request.path, {"metadata": {"annotations": {annotation: value}}})
            return await _done(api, request, timeout) if wait else request.outcome("requested", done=True)

        async def told(api: ApiClient, name: str) -> Outcome:
            """What becomes of one is no matter of the others'."""
            try:
                return await one(api, name)
            except ApiError as error:
                return Outcome(name, where.namespace(api), done=False, message=str(error))

        async def all_of_them(api: ApiClient) -> list[Outcome]:
            return await asyncio.gather(*(told(api, given) for given in names))

        outcomes = ask(where, all_of_them)
        data = [{"namespace": o.namespace, "name": o.name, "done": o.done, "message": o.message} for o in outcomes]
        text = "\n".join(
            f"{'ok' if o.done else 'failed':<8}ClientCertificate {o.namespace}/{o.name}: {o.message}" for o in outcomes
        )
        show(where, data, text)
        if not all(o.done for o in outcomes):
            raise click.exceptions.Exit(WRONG)

    return command


async def _done(api: ApiClient, request: Request, seconds: float) -> Outcome:
    """Wait for what becomes of *request*, *seconds* at most."""
    deadline = asyncio.get_running_loop().time() + seconds
    while asyncio.get_running_loop().time() < deadline:
        found = outcome_of(await api.get(request.path), request)
        if found is not None:
            return found
        await asyncio.sleep(_LOOK_SECONDS)
    advice = f"the request stands: see `kubectl mintls status -n {request.namespace}`"
    return request.outcome(f"not within {seconds:g} s; {advice}", done=False)


renew = _command("renew", RENEW_REQUESTED, "Have another certificate issued now, by the rules of the spec for its key.")
rekey = _command("rekey", REKEY_REQUESTED, "Have another certificate with another key issued now.")
