"""What an authority allows, on a real API server: by namespace, told in the refusal, and followed when it changes."""

import pytest
from cryptography import x509

from builders.world import World
from integration.operator.test_token import token
from mintls.kube.paths import CERTIFICATE_AUTHORITIES, CLIENT_CERTIFICATES, OAUTH_CLIENTS

pytestmark = pytest.mark.cluster

RULES = [
    {
        "namespaceSelector": {"matchLabels": {"team": "blue"}},
        "dnsNames": ["*.blue.example"],
        "uris": ["https://apps.example/*"],
        "emailAddresses": ["*@blue.example"],
        "ipAddresses": ["10.20.0.0/16"],
    }
]
NAMES = {
    "dnsNames": ["api.blue.example"],
    "uris": ["https://apps.example/billing"],
    "emailAddresses": ["billing@blue.example"],
    "ipAddresses": ["10.20.0.7"],
}


async def test_names_are_allowed_by_the_labels_of_the_namespace(world: World) -> None:
    await world.authority(policy={"allowedNames": RULES, "keyAlgorithms": ["ECDSA"]})
    await world.operator()
    shop = await world.namespace()
    await world.client(shop)
    await world.certificate(shop, **NAMES)
    refused = await world.reason(CLIENT_CERTIFICATES, shop, "billing", "NameNotAllowed")
    assert refused["message"].startswith(
        f"spec.dnsNames api.blue.example: CertificateAuthority 'default' does not allow it in namespace {shop}; "
        "it allows no dnsNames beside Services of the namespace"
    )

    world.cluster.kubectl("label", "namespace", shop, "team=blue")
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    leaf = x509.load_pem_x509_certificate((await world.secret(shop))["tls.crt"])
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == NAMES["dnsNames"]
    assert names.get_values_for_type(x509.RFC822Name) == NAMES["emailAddresses"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == NAMES["ipAddresses"]
    assert set(names.get_values_for_type(x509.UniformResourceIdentifier)) == {
        f"spiffe://cluster.local/ns/{shop}/client/billing",
        *NAMES["uris"],
    }

    world.cluster.kubectl("label", "namespace", shop, "team-")
    await world.reason(CLIENT_CERTIFICATES, shop, "billing", "NameNotAllowed")


async def test_keys_are_allowed_by_their_algorithm(world: World) -> None:
    await world.authority(policy={"keyAlgorithms": ["ECDSA"]})
    await world.operator()
    shop = await world.namespace()
    await world.client(shop)
    await world.certificate(shop, privateKey={"algorithm": "Ed25519"})
    refused = await world.reason(CLIENT_CERTIFICATES, shop, "billing", "KeyNotAllowed")
    assert "signs for keys of ECDSA only (spec.policy.keyAlgorithms)" in refused["message"]
    policy = {"spec": {"policy": {"keyAlgorithms": ["ECDSA", "Ed25519"]}}}
    await world.api.merge_patch(CERTIFICATE_AUTHORITIES.item(None, "default"), policy)
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")


async def test_a_further_name_is_no_identity_of_another_client(world: World) -> None:
    """Even where an authority allows a name that another client is registered by."""
    await world.authority(policy={"allowedNames": [{"dnsNames": ["*.example"]}]})
    await world.operator()
    await world.issuer()
    shop, store = await world.namespace(), await world.namespace()
    await world.client(shop, tlsClientAuth={"sanDNS": "billing.example"})
    await world.ready(OAUTH_CLIENTS, shop, "billing")
    await world.client(store, "thief")
    await world.certificate(store, "thief", dnsNames=["billing.example"])
    await world.ready(CLIENT_CERTIFICATES, store, "thief")
    files = await world.secret(store, "thief-mtls")
    assert (await token(world.folder, files | {"client-id": f"{shop}:billing".encode()}))[0] == 401
    assert (await token(world.folder, files))[0] == 200


async def test_a_rule_that_means_nothing_is_told_at_the_authority(world: World) -> None:
    await world.authority(policy={"allowedNames": [{"ipAddresses": ["10.0.0.1/8"]}]})
    await world.operator()
    told = await world.reason(CERTIFICATE_AUTHORITIES, None, "default", "InvalidSpec")
    assert "spec.policy.allowedNames[0].ipAddresses[0] 10.0.0.1/8" in told["message"]
    policy = {"spec": {"policy": {"allowedNames": [{"ipAddresses": ["10.0.0.0/8"]}]}}}
    await world.api.merge_patch(CERTIFICATE_AUTHORITIES.item(None, "default"), policy)
    await world.ready(CERTIFICATE_AUTHORITIES, None, "default")
