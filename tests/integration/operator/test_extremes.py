"""Objects at the edges of what Kubernetes allows, and objects that change or end while they are worked on."""

import asyncio
import re
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import load_pem_x509_certificate

from builders.pki import ec_key
from builders.world import Object, RunningOperator, World, condition, eventually
from integration.operator.test_token import token
from mintls.kube.errors import Invalid
from mintls.kube.paths import CLIENT_CERTIFICATES, EVENTS, NAMESPACES, OAUTH_CLIENTS, SECRETS

pytestmark = pytest.mark.cluster

NAMESPACE_LIMIT = 63
NAME_LIMIT = 253
MOST_NAMES = 500
MOST_CHARACTERS = 64000
LABEL_VALUE = re.compile(r"^(?:[A-Za-z0-9](?:[-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?)?$")


async def namespace_called(world: World, name: str) -> str:
    """A namespace of that name, deleted with the others."""
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    await world.api.create(NAMESPACES.collection(), body)
    world._namespaces.append(name)
    return name


def leaf_of(secret: dict[str, bytes]) -> x509.Certificate:
    return load_pem_x509_certificate(secret["tls.crt"])


def names_of(leaf: x509.Certificate) -> x509.SubjectAlternativeName:
    return leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


async def test_names_of_maximal_length(world: World) -> None:
    await world.authority()
    await world.operator()
    await world.issuer()
    shop = await namespace_called(world, "s" + "0123456789" * 6 + "ab")
    assert len(shop) == NAMESPACE_LIMIT
    label = "c" + "0123456789" * 6 + "ab"
    name = ".".join([label] * 3 + ["d" * 61])
    assert len(name) == NAME_LIMIT
    client = await world.client(shop, name)
    assert client["metadata"]["name"] == name
    await world.certificate(shop, name, secretName=name)

    found = await world.ready(CLIENT_CERTIFICATES, shop, name)
    secret = await world.secret(shop, name)
    uris = names_of(leaf_of(secret)).get_values_for_type(x509.UniformResourceIdentifier)
    assert uris == [f"spiffe://cluster.local/ns/{shop}/client/{name}"]
    assert secret["client-id"].decode() == f"{shop}:{name}"
    registered = await world.ready(OAUTH_CLIENTS, shop, name)
    assert registered["status"]["clientID"] == f"{shop}:{name}"
    labels = (await world.get(SECRETS, shop, name))["metadata"]["labels"]
    assert all(LABEL_VALUE.match(value) for value in labels.values())
    events = (await world.api.get(EVENTS.collection(shop)))["items"]
    assert any(item["regarding"]["name"] == name and item["reason"] == "Issued" for item in events)
    assert found["status"]["revision"] == 1


async def test_a_secret_name_that_is_too_long_is_refused_with_its_field(world: World) -> None:
    shop = await world.namespace()
    with pytest.raises(Invalid, match=r"spec\.secretName"):
        await world.certificate(shop, secretName="s" * 254)


async def test_500_names_are_issued_and_get_a_token(world: World, tmp_path: Path) -> None:
    """Also when they are as long as all of them may be together: then the certificate is as large as TLS takes."""
    await world.authority(policy={"allowedNames": [{"dnsNames": ["*.example"]}]})
    await world.operator()
    await world.issuer()
    shop = await world.namespace()
    await world.client(shop)
    label, rest = "b" * 63, "c" * 52
    longest = [f"{number:03}.{label}.{rest}.example" for number in range(MOST_NAMES)]
    assert sum(map(len, longest)) == MOST_CHARACTERS
    services = [f"n{number}.{shop}.svc" for number in range(MOST_NAMES)]
    for name, wanted in (("services", services), ("longest", longest)):
        await world.certificate(shop, name, clientRef={"name": "billing"}, dnsNames=wanted)
        await world.ready(CLIENT_CERTIFICATES, shop, name, within=40)
        secret = await world.secret(shop, f"{name}-mtls")
        assert names_of(leaf_of(secret)).get_values_for_type(x509.DNSName) == wanted
        await world.ready(OAUTH_CLIENTS, shop, "billing")
        status, answer = await token(tmp_path, secret)
        assert (status, answer.get("token_type")) == (200, "Bearer")

    names = [f"n{number}.{shop}.svc" for number in range(MOST_NAMES + 1)]
    with pytest.raises(Invalid, match=r"spec\.dnsNames: Too many: 501: must have at most 500 items"):
        await world.certificate(shop, "more", dnsNames=names)


async def test_a_request_with_500_names_is_signed(world: World) -> None:
    await world.authority()
    await world.operator()
    shop = await world.namespace()
    await world.client(shop)
    wanted = sorted(f"n{number}.{shop}.svc" for number in range(MOST_NAMES))
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in wanted])
    builder = x509.CertificateSigningRequestBuilder(x509.Name([])).add_extension(alternatives, critical=True)
    request = builder.sign(ec_key(), hashes.SHA256()).public_bytes(Encoding.PEM).decode()
    await world.certificate(shop, request=request)
    found = await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    leaf = load_pem_x509_certificate(found["status"]["certificate"].encode())
    assert names_of(leaf).get_values_for_type(x509.DNSName) == wanted


async def test_objects_that_are_edited_while_they_are_issued(world: World) -> None:
    """The last edit counts, and nothing stays of those before."""
    await world.authority()
    operator = await world.operator()
    await world.issuer()  # or the client's status tells after a while that nobody knows it
    shop = await world.namespace()
    await world.client(shop)
    await world.certificate(shop)
    item = CLIENT_CERTIFICATES.item(shop, "billing")
    for number in range(30):
        await world.api.merge_patch(item, {"spec": {"dnsNames": [f"n{number}.{shop}.svc"]}})
        await asyncio.sleep(0.01 * (number % 4))

    async def last() -> Object | None:
        found = await world.ready(CLIENT_CERTIFICATES, shop, "billing")
        leaf = leaf_of(await world.secret(shop))
        dns = names_of(leaf).get_values_for_type(x509.DNSName)
        same = found["status"]["serialNumber"] == f"{leaf.serial_number:x}"
        return found if dns == [f"n29.{shop}.svc"] and same else None

    found = await eventually(last)
    assert found["status"]["revision"] <= 31
    await world.ready(OAUTH_CLIENTS, shop, "billing")
    await asyncio.sleep(1)  # the event follows the status
    before = len(operator.requests.writes)
    await asyncio.sleep(2)
    assert len(operator.requests.writes) == before, "and then nothing is written"


def tried(operator: RunningOperator) -> list[tuple[str, str, int]]:
    """Its writes so far, but for those of the CRL, on which what is gone still comes."""
    return [write for write in operator.requests.writes if write[1] != "configmaps"]


async def test_a_namespace_that_is_deleted_in_the_middle_of_a_burst(world: World) -> None:
    await world.authority()
    operator = await world.operator()
    doomed, other = await world.namespace(), await world.namespace()
    for shop in (doomed, other):
        await world.client(shop)
    for number in range(30):
        for shop in (doomed, other):
            await world.certificate(shop, f"billing-{number}", clientRef={"name": "billing"})
        if number == 15:
            world.cluster.kubectl("delete", "namespace", doomed, "--wait=false")
            break

    for number in range(16, 30):
        await world.certificate(other, f"billing-{number}", clientRef={"name": "billing"})
    for number in range(30):
        await world.ready(CLIENT_CERTIFICATES, other, f"billing-{number}")

    async def gone() -> bool:
        names = {item["metadata"]["name"] for item in (await world.api.get(NAMESPACES.collection()))["items"]}
        return doomed not in names

    await eventually(gone, within=60, expected="the namespace gone: nothing of ours holds it")
    assert not operator.task.done()
    before = tried(operator)
    await asyncio.sleep(3)
    assert tried(operator) == before, "nothing is tried any more for what is gone"
    assert condition(await world.get(CLIENT_CERTIFICATES, other, "billing-29"), "Ready")["status"] == "True"
