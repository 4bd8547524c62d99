"""Options that operator and issuer share; each can also be an environment variable, ``MINTLS_...``."""

import re
from collections.abc import Callable
from typing import Any

import click

from mintls.core.oauth.forwarded_certificate import Format
from mintls.core.oauth.rate_limit import Rate
from mintls.issuer.settings import RegistrationSecret, TrustedProxy

_SHARED = (
    click.option(
        "--kubeconfig",
        type=click.Path(dir_okay=False),
        help="Kubeconfig file. Left out: KUBECONFIG, else the pod's service account.",
    ),
    click.option(
        "--service-account",
        type=click.Path(file_okay=False),
        envvar="MINTLS_SERVICE_ACCOUNT",
        help="Folder with token and ca.crt of a service account. Left out: where Kubernetes mounts the pod's.",
    ),
    click.option(
        "--issuer-url",
        required=True,
        envvar="MINTLS_ISSUER_URL",
        help="The issuer's identifier (iss), such as https://mintls-issuer.mintls-system.svc:8443.",
    ),
    click.option(
        "--mtls-url",
        required=True,
        envvar="MINTLS_MTLS_URL",
        help="Base of the endpoints that do mTLS, such as https://mintls-issuer.mintls-system.svc:9443.",
    ),
    click.option(
        "--trust-domain",
        default="cluster.local",
        show_default=True,
        envvar="MINTLS_TRUST_DOMAIN",
        help="Trust domain of SPIFFE IDs. It is part of every identity: choose it once.",
    ),
    click.option(
        "--cluster-domain",
        default="cluster.local",
        show_default=True,
        envvar="MINTLS_CLUSTER_DOMAIN",
        help="DNS domain of the cluster.",
    ),
    click.option(
        "--operator-namespace",
        default="mintls-system",
        show_default=True,
        envvar="MINTLS_OPERATOR_NAMESPACE",
        help="Namespace of the operator, of CA keys and signing keys.",
    ),
    click.option("-v", "--verbose", count=True, help="Log each step; twice for the libraries' steps too."),
)


def shared(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the shared options to a command."""
    for option in reversed(_SHARED):
        command = option(command)
    return command


def address(text: str) -> tuple[str, int]:
    """``HOST:PORT`` or ``:PORT`` as host ("" for all addresses) and port.

    Raises:
        click.BadParameter: It is neither.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise click.BadParameter(f"{text!r} must be HOST:PORT or :PORT, such as 127.0.0.1:8081 or :8081")
    return host.strip("[]"), int(port)


_PROXY = re.compile(r"([a-z0-9-]{1,63})/([a-z0-9.-]{1,253})=([a-z-]+)")


def proxy(text: str) -> TrustedProxy:
    """``NAMESPACE/NAME=FORMAT``.

    Raises:
        click.BadParameter: It is something else.
    """
    found = _PROXY.fullmatch(text)
    if not found or found[3] not in set(Format):
        raise click.BadParameter(
            f"--proxy {text!r} must be NAMESPACE/NAME of an OAuthClient, =, and one of {', '.join(Format)}, such as "
            f"edge/gateway={Format.CLIENT_CERT}"
        )
    return TrustedProxy(found[1], found[2], Format(found[3]))


_REGISTRATION = re.compile(r"([a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?)=([a-z0-9-]{1,63})")


def registration(text: str) -> RegistrationSecret:
    """``SECRET=NAMESPACE``.

    Raises:
        click.BadParameter: It is something else.
    """
    found = _REGISTRATION.fullmatch(text)
    if not found:
        raise click.BadParameter(
            f"--registration {text!r} must be the name of a Secret (at most 63 characters), =, and the namespace where "
            "clients are made, such as registration-shop=shop"
        )
    return RegistrationSecret(found[1], found[2])


_RATE = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(?:/([0-9]{1,6}))?")


def rate(text: str | None, option: str) -> Rate | None:
    """``RATE`` or ``RATE/BURST``; nothing is no limit.

    Raises:
        click.BadParameter: It is neither.
    """
    if text is None:
        return None
    found = _RATE.fullmatch(text)
    per_second = float(found[1]) if found else 0.0
    burst = int(found[2]) if found and found[2] else max(1, int(per_second))
    if per_second <= 0 or burst < 1:
        raise click.BadParameter(
            f"{option} {text!r} must be requests a second above 0, and perhaps how many at once, such as 20 or 20/100"
        )
    return Rate(per_second, burst)
