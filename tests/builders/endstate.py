"""What there is of a namespace and of all that is named after it, without what differs between two that are alike."""

import base64
import re
from collections.abc import Iterable
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from builders.world import SYSTEM, World
from mintls.core.oauth.signing_keys import decode_signing_keys
from mintls.core.pki.certificate import facts, first_break, load_pem_chain
from mintls.core.pki.errors import InvalidCertificate
from mintls.core.pki.keys import key_fingerprint
from mintls.kube.errors import NotFound
from mintls.kube.paths import (
    CERTIFICATE_AUTHORITIES,
    CERTIFICATE_SIGNING_REQUESTS,
    CLIENT_CERTIFICATES,
    CLUSTER_TRUST_BUNDLES,
    CONFIGMAPS,
    OAUTH_CLIENTS,
    POD_CERTIFICATE_REQUESTS,
    SECRETS,
    Resource,
)
from mintls.reconcile.keystores import KEYSTORES_DIGEST, PASSWORDS_VERSION

type State = dict[str, Any]

_OF_A_NAMESPACE = (OAUTH_CLIENTS, CLIENT_CERTIFICATES, SECRETS, CONFIGMAPS, POD_CERTIFICATE_REQUESTS)
_OF_THE_CLUSTER = (CERTIFICATE_AUTHORITIES, CERTIFICATE_SIGNING_REQUESTS, CLUSTER_TRUST_BUNDLES)
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----\n?", re.DOTALL)
_DIFFERENT = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)"), "<time>"),
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<uid>"),
    (re.compile(r"\b[0-9a-f]{8}(?=\b)"), "<short>"),
    (re.compile(r"\b[0-9a-f]{32,}\b"), "<hash>"),
    (re.compile(r"\b20\d{12}\b"), "<time>"),
    (re.compile(r"\bsha256:[0-9A-Za-z_=-]+"), "<hash>"),
)
_OF_ITS_TIME = frozenset({"lastTransitionTime", "lastUpdateTime"})
_OF_ITS_KEYSTORES = frozenset({KEYSTORES_DIGEST, PASSWORDS_VERSION})
_OF_ITS_KEY = frozenset({"pkixPublicKey", "proofOfPossession", "request", "certificate"})


async def end_state(world: World, namespace: str) -> State:
    """The objects of a namespace and those named after it, by kind and name; the namespace is called ``shop`` in it."""
    found: State = {}
    for resource in _OF_A_NAMESPACE:
        for item in await _items(world, resource, namespace):
            found[f"{resource.kind} {item['metadata']['name']}"] = item
    for resource, place in (*((one, None) for one in _OF_THE_CLUSTER), (SECRETS, SYSTEM)):
        for item in await _items(world, resource, place):
            if namespace in item["metadata"]["name"]:
                found[f"{resource.kind} {item['metadata']['name']}"] = item
    found.pop("ConfigMap kube-root-ca.crt", None)
    return alike(found, namespace)


async def installed_state(world: World) -> State:
    """The operator's own objects."""
    found: State = {}
    for resource, place in (
        (CERTIFICATE_AUTHORITIES, None),
        (CLUSTER_TRUST_BUNDLES, None),
        (SECRETS, SYSTEM),
        (CONFIGMAPS, SYSTEM),
    ):
        for item in await _items(world, resource, place):
            found[f"{resource.kind} {item['metadata']['name']}"] = item
    found.pop("ConfigMap kube-root-ca.crt", None)
    return alike(found, SYSTEM)


def alike(found: State, namespace: str) -> State:
    """The same without names of the namespace, keys, times and random numbers, but with what they have to do."""
    secrets = {key.removeprefix("Secret "): item for key, item in found.items() if key.startswith("Secret ")}
    uids = {item["metadata"]["uid"]: item["metadata"]["name"] for item in found.values()}
    return _plain({key: _object(item, secrets, uids) for key, item in found.items()}, namespace)


def differences(one: Any, other: Any, place: str = "") -> list[str]:
    """Where two states differ, in words."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            found
            for key in sorted(one.keys() | other.keys())
            for found in differences(one.get(key, "<nothing>"), other.get(key, "<nothing>"), f"{place}/{key}")
        ]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [found for number, (a, b) in pairs for found in differences(a, b, f"{place}[{number}]")]
    return [] if one == other else [f"{place}: {one!r} is not {other!r}"]


async def _items(world: World, resource: Resource, namespace: str | None) -> list[Any]:
    try:
        return [item async for page in world.api.list_pages(resource.collection(namespace)) for item in page["items"]]
    except NotFound:
        return []  # this Kubernetes does not serve it


def _object(item: Any, secrets: State, uids: dict[str, str]) -> State:
    meta = item["metadata"]
    owners = [f"{one['kind']} {uids.get(one['uid'], 'that does not exist')}" for one in meta.get("ownerReferences", ())]
    kept: State = {
        "labels": meta.get("labels", {}),
        "annotations": {
            name: "there" if name in _OF_ITS_KEYSTORES else value for name, value in meta.get("annotations", {}).items()
        },
        "finalizers": meta.get("finalizers", []),
        "owners": owners,
        **{part: item[part] for part in ("type", "spec", "status", "immutable") if part in item},
    }
    data = {name: base64.b64decode(value) for name, value in (item.get("data") or {}).items()} if "type" in item else {}
    if data:
        kept["files"] = _files(data)
    elif "data" in item:
        kept["data"] = item["data"]
    if item.get("status", {}).get("serialNumber") and "secretName" in item.get("spec", {}):
        kept["status"] = _of_the_secret(item, secrets.get(item["spec"]["secretName"]))
    return kept


def _of_the_secret(item: Any, secret: Any) -> State:
    """The status, with what it says of the Secret held against the Secret."""
    status: State = dict(item["status"])
    status.pop("secretResourceVersion", None)  # which one was read: any other is read again, and nothing written for it
    told = {name: status.pop(name, "") for name in ("serialNumber", "thumbprint", "keyFingerprint")}
    if secret is None:
        return status | {"secret": "none"}
    chain = base64.b64decode(secret["data"].get("tls.crt", ""))
    leaf = facts(x509.load_pem_x509_certificate(chain))
    actual = {
        "serialNumber": f"{leaf.serial:x}",
        "thumbprint": leaf.thumbprint,
        "keyFingerprint": key_fingerprint(leaf.certificate.public_key()),  # type: ignore[arg-type] # one of ours
    }
    return status | {name: "of the Secret" if told[name] == actual[name] else "of another" for name in told}


def _files(data: dict[str, bytes]) -> State:
    files: State = {}
    for name, content in data.items():
        if name == "tls.crt":
            files[name] = _chain(content, data.get("ca.crt", b""))
        elif name == "tls.key":
            files[name] = _key(content, data.get("tls.crt", b""))
        elif name == "tls-combined.pem":
            files[name] = "both" if content == data["tls.key"] + data["tls.crt"] else "something else"
        elif name == "keys.json":
            files[name] = [f"{key.alg}, retires: {key.retire_at is not None}" for key in decode_signing_keys(content)]
        elif name == "key.der" or name.endswith((".p12", ".jks")):
            files[name] = "there"
        else:
            files[name] = content.decode()
    return files


def _chain(pem: bytes, roots: bytes) -> State | str:
    try:
        leaf, *more = load_pem_chain(pem)
        trusted = any(first_break([(more or [leaf])[-1], root]) is None for root in load_pem_chain(roots))
    except InvalidCertificate as error:
        return f"no chain: {error}"
    return {
        "names": sorted(_names(leaf)),
        "subject": leaf.subject.rfc4514_string(),
        "seconds": round((leaf.not_valid_after_utc - leaf.not_valid_before_utc).total_seconds(), -1),
        "chain": [one.subject.rfc4514_string() for one in more],
        "leads to a root of ca.crt": trusted and first_break([leaf, *more]) is None,
    }


def _names(leaf: x509.Certificate) -> list[str]:
    try:
        alternatives = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [str(one.value) for one in alternatives]


def _key(pem: bytes, chain: bytes) -> str:
    try:
        key, leaf = load_pem_private_key(pem, None), load_pem_chain(chain)[0]
    except (ValueError, InvalidCertificate) as error:
        return f"no key: {error}"
    return "of the certificate" if key.public_key() == leaf.public_key() else "of another certificate"


def _plain(value: Any, namespace: str) -> Any:
    if isinstance(value, dict):
        pairs: Iterable[tuple[str, Any]] = ((k, v) for k, v in value.items() if k not in _OF_ITS_TIME)
        return {_text(key, namespace): "there" if key in _OF_ITS_KEY else _plain(one, namespace) for key, one in pairs}
    if isinstance(value, list):
        return [_plain(one, namespace) for one in value]
    return _text(value, namespace) if isinstance(value, str) else value


def _text(text: str, namespace: str) -> str:
    text = _PEM.sub(lambda found: f"<{found[1].lower()}>", text).replace(namespace, "shop")
    for pattern, name in _DIFFERENT:
        text = pattern.sub(name, text)
    return text
