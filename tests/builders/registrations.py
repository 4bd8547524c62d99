"""Valid registrations, of which a test changes the one thing that matters."""

from datetime import UTC, datetime, timedelta
from typing import Any

from mintls.core.oauth.registration import Registration, default_client_id, spiffe_id
from mintls.core.oauth.registration_grant import RegistrationGrant, token_hash
from mintls.core.pki.names import SubjectKind, SubjectName

INITIAL = "initial-access-token-of-the-team-shop"
"""By which whoever has it may register clients, see ``grant``."""
CREATED = datetime(2026, 1, 1, 12, tzinfo=UTC)


def registration(namespace: str = "shop", name: str = "billing", **changes: Any) -> Registration:
    """The registration of an OAuthClient with an empty spec."""
    defaults: dict[str, Any] = {
        "uid": f"uid-{namespace}-{name}",
        "generation": 1,
        "created": CREATED,
        "client_id": default_client_id(namespace, name),
        "client_name": "",
        "token_endpoint_auth_method": "tls_client_auth",
        "subject": SubjectName(SubjectKind.SAN_URI, spiffe_id("cluster.local", namespace, name)),
        "certificates": (),
        "authorities": ("default",),
        "grant_types": ("client_credentials",),
        "scopes": (),
        "default_scopes": (),
        "audiences": (),
        "access_token_lifetime": timedelta(minutes=10),
        "certificate_bound": True,
        "suspended": False,
        "tokens_not_before": None,
    }
    return Registration(namespace=namespace, name=name, **(defaults | changes))


def dns(name: str) -> SubjectName:
    """A sanDNS."""
    return SubjectName(SubjectKind.SAN_DNS, name)


def grant(max_clients: int) -> RegistrationGrant:
    """What ``INITIAL`` lets its holder register: clients of each method in the namespace ``shop``."""
    return RegistrationGrant(
        name="registration-shop",
        namespace="shop",
        token_hash=token_hash(INITIAL),
        methods=("tls_client_auth", "self_signed_tls_client_auth", "private_key_jwt"),
        scopes=("orders.read", "orders.write"),
        audiences=("https://orders.shop.svc",),
        max_clients=max_clients,
    )
