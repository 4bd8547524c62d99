"""Everything that the operator carries out for one namespace: what is there first, what then happens, and its end."""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from builders.pki import ec_key
from builders.servicerequests import pod_certificate_request, signing_request
from builders.world import World, condition, is_current
from mintls.api.v1alpha1.clientcertificate import REKEY_REQUESTED, RENEW_REQUESTED
from mintls.core.pki.keys import encode_private_key
from mintls.kube.errors import NotFound
from mintls.kube.paths import (
    CERTIFICATE_SIGNING_REQUESTS,
    CLIENT_CERTIFICATES,
    CONFIGMAPS,
    NAMESPACES,
    OAUTH_CLIENTS,
    POD_CERTIFICATE_REQUESTS,
    SECRETS,
    Resource,
)
from mintls.reconcile.credential import COMPONENT, HAND_OVER_TO

type Step = Callable[[World, str], Awaitable[Any]]
type Look = Callable[[World, str], Awaitable[bool]]

SELECTED = {"mintls-test/team": "blue"}
"""Labels of a namespace that the authority of these plans selects for its trust bundle."""
OTHER_AUTHORITY = "other"


@dataclass(frozen=True, slots=True)
class Plan:
    """One of them.

    Attributes:
        name: What happens.
        prepare: Makes what is there first, in a namespace that has nothing.
        prepared: Whether it is as it should be.
        act: What then happens.
        done: Whether the operator has carried it out.
        issues: How many certificates that takes.
    """

    name: str
    prepare: Step
    prepared: Look
    act: Step
    done: Look
    issues: int


# --- what is there ---


async def nothing(_world: World, _shop: str) -> None:
    """Nothing."""


async def credential(world: World, shop: str, **spec: Any) -> None:
    await world.client(shop)
    await world.certificate(shop, **spec)


def with_spec(**spec: Any) -> Step:
    return partial(credential, **spec)


async def client(world: World, shop: str) -> None:
    await world.client(shop, serviceAccounts=[{"name": "billing-app"}])


async def credential_and_password(world: World, shop: str) -> None:
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "keystore"}}
    await world.api.create(SECRETS.collection(shop), body | {"stringData": {"password": "of the keystores"}})
    await credential(world, shop)


async def foreign_secret(world: World, shop: str) -> None:
    """A Secret of somebody else where the credential should be."""
    key = base64.b64encode(encode_private_key(ec_key())).decode()
    data = {"tls.crt": base64.b64encode(b"none yet").decode(), "tls.key": key}
    body = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": {"name": "billing-mtls"}}
    await world.api.create(SECRETS.collection(shop), body | {"data": data})
    await credential(world, shop)


async def selected_namespace(world: World, shop: str) -> None:
    await world.api.merge_patch(NAMESPACES.item(None, shop), {"metadata": {"labels": SELECTED}})


# --- what happens ---


def annotated(annotation: str) -> Step:
    async def act(world: World, shop: str) -> None:
        await _patch(world, shop, metadata={"annotations": {annotation: "now"}})

    return act


def changed(**spec: Any) -> Step:
    async def act(world: World, shop: str) -> None:
        await _patch(world, shop, spec=spec)

    return act


def scribbled(name: str, content: bytes) -> Step:
    """Somebody edits a file of the Secret."""

    async def act(world: World, shop: str) -> None:
        data = {name: base64.b64encode(content).decode()}
        await world.api.merge_patch(SECRETS.item(shop, "billing-mtls"), {"data": data})

    return act


async def label_stripped(world: World, shop: str) -> None:
    labels = {"app.kubernetes.io/managed-by": None, COMPONENT: None}
    await world.api.merge_patch(SECRETS.item(shop, "billing-mtls"), {"metadata": {"labels": labels}})


async def secret_deleted(world: World, shop: str) -> None:
    await world.api.delete(SECRETS.item(shop, "billing-mtls"))


async def handed_over(world: World, shop: str) -> None:
    annotations = {"metadata": {"annotations": {HAND_OVER_TO: "billing"}}}
    await world.api.merge_patch(SECRETS.item(shop, "billing-mtls"), annotations)
    # A foreign Secret is not watched: a change of the object has it looked at now, and not in a minute.
    await _patch(world, shop, spec={"duration": "12h"})


async def requested(world: World, shop: str) -> None:
    """A certificate for a key that is elsewhere."""
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(ec_key(), hashes.SHA256())
    await credential(world, shop, request=csr.public_bytes(serialization.Encoding.PEM).decode())


async def client_deleted(world: World, shop: str) -> None:
    await world.api.delete(OAUTH_CLIENTS.item(shop, "billing"))


async def all_deleted(world: World, shop: str) -> None:
    await world.api.delete(CLIENT_CERTIFICATES.item(shop, "billing"))
    await client_deleted(world, shop)


async def pod_asks(world: World, shop: str) -> None:
    await world.api.create(POD_CERTIFICATE_REQUESTS.collection(shop), pod_certificate_request(ec_key(), "billing-0"))


async def account_asks(world: World, shop: str) -> None:
    """The API server notes down who asks."""
    body = json.dumps(signing_request(ec_key(), f"csr-{shop}"))
    account = f"--as=system:serviceaccount:{shop}:billing-app"
    await asyncio.to_thread(world.cluster.kubectl, "create", "-f", "-", account, stdin=body)


async def unselected(world: World, shop: str) -> None:
    labels = {"metadata": {"labels": dict.fromkeys(SELECTED)}}
    await world.api.merge_patch(NAMESPACES.item(None, shop), labels)


# --- how it is then ---


async def all_ready(world: World, shop: str) -> bool:
    return await _ready(world, CLIENT_CERTIFICATES, shop) and await client_ready(world, shop)


async def client_ready(world: World, shop: str) -> bool:
    return await _ready(world, OAUTH_CLIENTS, shop)


async def always(_world: World, _shop: str) -> bool:
    return True


def ready_at(revision: int) -> Look:
    async def look(world: World, shop: str) -> bool:
        status = (await world.get(CLIENT_CERTIFICATES, shop, "billing"))["status"]
        return bool(status["revision"] == revision) and await all_ready(world, shop)

    return look


def because(reason: str) -> Look:
    """``Ready`` of the certificate says why it is not."""

    async def look(world: World, shop: str) -> bool:
        found = await world.get(CLIENT_CERTIFICATES, shop, "billing")
        return bool(condition(found, "Ready")["reason"] == reason) and is_current(found)

    return look


def in_secret(present: Callable[[Any], bool]) -> Look:
    async def look(world: World, shop: str) -> bool:
        return present(await world.get(SECRETS, shop, "billing-mtls")) and await all_ready(world, shop)

    return look


def labelled(secret: Any) -> bool:
    return COMPONENT in secret["metadata"].get("labels", {})


def without_template(secret: Any) -> bool:
    return "team" not in secret["metadata"].get("labels", {})


def with_client_id(secret: Any) -> bool:
    return base64.b64decode(secret["data"]["client-id"]).endswith(b":billing")


def in_further_forms(secret: Any) -> bool:
    return {"key.der", "tls-combined.pem"} <= secret["data"].keys()


def with_keystores(secret: Any) -> bool:
    return {"keystore.p12", "truststore.p12", "keystore.jks", "truststore.jks"} <= secret["data"].keys()


async def all_gone(world: World, shop: str) -> bool:
    return await _is_gone(world, SECRETS, shop, "billing-mtls") and await no_bundle(world, shop)


async def bundle(world: World, shop: str) -> bool:
    return not await no_bundle(world, shop)


async def no_bundle(world: World, shop: str) -> bool:
    return await _is_gone(world, CONFIGMAPS, shop, "mintls-trust-bundle")


async def pod_answered(world: World, shop: str) -> bool:
    return bool((await world.get(POD_CERTIFICATE_REQUESTS, shop, "billing-0"))["status"]["certificateChain"])


async def account_answered(world: World, shop: str) -> bool:
    return bool((await world.get(CERTIFICATE_SIGNING_REQUESTS, None, f"csr-{shop}"))["status"]["certificate"])


async def _patch(world: World, shop: str, **body: Any) -> None:
    await world.api.merge_patch(CLIENT_CERTIFICATES.item(shop, "billing"), body)


async def _ready(world: World, resource: Resource, shop: str) -> bool:
    found = await world.get(resource, shop, "billing")
    return bool(condition(found, "Ready")["status"] == "True") and is_current(found)


async def _is_gone(world: World, resource: Resource, shop: str, name: str) -> bool:
    try:
        await world.get(resource, shop, name)
    except NotFound:
        return True
    return False


_FORMS = [{"type": "CombinedPEM"}, {"type": "DER"}]
_PASSWORD = {"passwordSecretRef": {"name": "keystore"}}
_KEYSTORES = {"pkcs12": _PASSWORD, "jks": _PASSWORD}
_NEVER = with_spec(privateKey={"rotationPolicy": "Never"})
_TEMPLATE = with_spec(secretTemplate={"labels": {"team": "blue"}})

ISSUING = (
    Plan("issue", nothing, always, credential, all_ready, 1),
    Plan("renew", credential, all_ready, annotated(RENEW_REQUESTED), ready_at(2), 1),
    Plan("renew with the same key", _NEVER, all_ready, annotated(RENEW_REQUESTED), ready_at(2), 1),
    Plan("rekey", _NEVER, all_ready, annotated(REKEY_REQUESTED), ready_at(2), 1),
    Plan("other names", credential, all_ready, changed(duration="12h"), ready_at(2), 1),
    Plan("another authority", credential, all_ready, changed(authorityRef={"name": OTHER_AUTHORITY}), ready_at(2), 1),
    Plan("a request", nothing, always, requested, all_ready, 1),
    Plan("revoke", credential, all_ready, changed(revoked=True), because("Revoked"), 0),
    Plan("client deleted", credential, all_ready, client_deleted, because("ClientNotFound"), 0),
    Plan("all deleted", credential, all_ready, all_deleted, all_gone, 0),
)
"""What becomes of a ClientCertificate and its OAuthClient."""

SECRET = (
    Plan("deleted", credential, all_ready, secret_deleted, ready_at(2), 1),
    Plan(
        "another key in it", credential, all_ready, scribbled("tls.key", encode_private_key(ec_key())), ready_at(2), 1
    ),
    Plan("a file in it edited", credential, all_ready, scribbled("client-id", b"x"), in_secret(with_client_id), 1),
    Plan("label taken off", credential, all_ready, label_stripped, in_secret(labelled), 1),
    Plan(
        "further forms", credential, all_ready, changed(additionalOutputFormats=_FORMS), in_secret(in_further_forms), 1
    ),
    Plan(
        "keystores",
        *(credential_and_password, all_ready, changed(keystores=_KEYSTORES), in_secret(with_keystores), 1),
    ),
    Plan("out of the template", _TEMPLATE, all_ready, changed(secretTemplate=None), in_secret(without_template), 1),
    Plan("handed over", foreign_secret, because("SecretNotOwned"), handed_over, all_ready, 1),
)
"""What becomes of the Secret."""

OTHERS = (
    Plan("a pod's request", client, client_ready, pod_asks, pod_answered, 0),
    Plan("a service account's request", client, client_ready, account_asks, account_answered, 0),
    Plan("a namespace that is selected", nothing, always, selected_namespace, bundle, 0),
    Plan("a namespace that is not any more", selected_namespace, bundle, unselected, no_bundle, 0),
)
"""What is no ClientCertificate's."""
