"""The Secret is kept whole, and somebody else's is left alone."""

import asyncio
import base64
import subprocess
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate

from builders.world import World, eventually, next_second
from mintls.kube.paths import CLIENT_CERTIFICATES, OAUTH_CLIENTS, SECRETS

pytestmark = pytest.mark.cluster

type Files = dict[str, bytes]


@pytest.fixture
async def shop(world: World) -> str:
    """A namespace with a Ready certificate ``billing``."""
    await world.authority()
    namespace = await world.namespace()
    await world.client(namespace)
    await world.certificate(namespace)
    world.running = await world.operator()
    await world.ready(CLIENT_CERTIFICATES, namespace, "billing")
    return namespace


def belongs_together(files: Files) -> bool:
    try:
        key = load_pem_private_key(files["tls.key"], None)
        return bool(load_pem_x509_certificate(files["tls.crt"]).public_key() == key.public_key())
    except ValueError:
        return False


async def changed(world: World, shop: str, before: Files) -> Files:
    """Wait until the Secret holds another certificate than before, and a whole credential."""

    async def look() -> Files | None:
        files = await world.secret(shop)
        new = files.get("tls.crt") not in {before["tls.crt"], None}
        return files if new and "tls.key" in files and belongs_together(files) else None

    found: Files = await eventually(look)
    return found


async def patch_secret(world: World, shop: str, body: dict[str, Any]) -> None:
    await world.api.merge_patch(SECRETS.item(shop, "billing-mtls"), body)


async def test_a_deleted_secret_comes_back_with_a_new_key_and_the_same_client_id(world: World, shop: str) -> None:
    before = await world.secret(shop)

    await world.api.delete(SECRETS.item(shop, "billing-mtls"))

    after = await changed(world, shop, before)
    assert after["tls.key"] != before["tls.key"]
    assert after["client-id"] == before["client-id"]


@pytest.mark.parametrize("file", ["tls.crt", "tls.key"])
async def test_a_corrupted_file_leads_to_a_new_credential(world: World, shop: str, file: str) -> None:
    before = await world.secret(shop)

    await patch_secret(world, shop, {"data": {file: base64.b64encode(b"scribble").decode()}})

    await changed(world, shop, before)


async def test_a_removed_key_leads_to_a_new_credential(world: World, shop: str) -> None:
    # The API server lets nobody remove tls.key from a Secret of this type; it can be emptied, though.
    before = await world.secret(shop)

    await patch_secret(world, shop, {"data": {"tls.key": ""}})

    await changed(world, shop, before)


async def test_an_edited_file_beside_the_certificate_is_put_right_with_the_same_certificate(
    world: World, shop: str
) -> None:
    before = await world.secret(shop)

    await patch_secret(
        world, shop, {"data": {"client-id": base64.b64encode(b"somebody-else").decode(), "ca.crt": None}}
    )

    async def look() -> bool:
        return bool(await world.secret(shop) == before)

    await eventually(look)


async def test_a_stripped_label_is_put_back_and_a_later_deletion_still_seen(world: World, shop: str) -> None:
    before = await world.secret(shop)

    await patch_secret(world, shop, {"metadata": {"labels": None}})

    async def labelled() -> bool:
        labels = (await world.get(SECRETS, shop, "billing-mtls"))["metadata"].get("labels", {})
        return bool(labels.get("app.kubernetes.io/managed-by") == "mintls")

    await eventually(labelled)
    assert await world.secret(shop) == before
    await world.api.delete(SECRETS.item(shop, "billing-mtls"))
    await changed(world, shop, before)


async def test_foreign_labels_annotations_and_files_survive_a_rewrite(world: World, shop: str) -> None:
    before = await world.secret(shop)
    await patch_secret(
        world,
        shop,
        {
            "metadata": {"labels": {"team": "blue"}, "annotations": {"note": "kept"}},
            "data": {"extra.txt": base64.b64encode(b"kept").decode()},
        },
    )

    await patch_secret(world, shop, {"data": {"tls.crt": base64.b64encode(b"scribble").decode()}})

    after = await changed(world, shop, before)
    secret = await world.get(SECRETS, shop, "billing-mtls")
    assert after["extra.txt"] == b"kept"
    assert secret["metadata"]["labels"]["team"] == "blue"
    assert secret["metadata"]["annotations"]["note"] == "kept"


async def test_a_foreign_label_costs_no_write(world: World, shop: str) -> None:
    running = world.running
    assert running is not None
    before = len(running.requests.writes)

    await patch_secret(world, shop, {"metadata": {"labels": {"team": "blue"}}})
    await world.client(shop, "marker")  # what comes after it has been looked at, too
    await world.certificate(shop, "marker")
    await world.ready(CLIENT_CERTIFICATES, shop, "marker")

    about_secrets = [write for write in running.requests.writes[before:] if write[1] == "secrets"]
    assert about_secrets == [("create", "secrets", 201)], "only the marker's"


async def test_a_secret_of_somebody_else_is_left_as_it_is_until_it_is_gone(world: World) -> None:
    await world.authority()
    shop = await world.namespace()
    foreign = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "billing-mtls"}, "stringData": {"mine": "x"}}
    created = await world.api.create(SECRETS.collection(shop), foreign)
    await world.client(shop)
    await world.certificate(shop)
    await world.operator()

    refused = await world.reason(CLIENT_CERTIFICATES, shop, "billing", "SecretNotOwned")

    assert refused["message"] == (
        'Secret "billing-mtls" exists and does not belong to this ClientCertificate; it is left as it is: delete it, '
        "hand it over by the annotation mintls.dev/hand-over-to=billing on it, or make a ClientCertificate with "
        "another spec.secretName"
    )
    assert await world.get(SECRETS, shop, "billing-mtls") == created
    await world.api.delete(SECRETS.item(shop, "billing-mtls"))
    await world.api.merge_patch(CLIENT_CERTIFICATES.item(shop, "billing"), {"spec": {"duration": "12h"}})
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")


async def test_the_second_certificate_for_a_secret_is_told_and_the_first_goes_on(world: World, shop: str) -> None:
    before = await world.secret(shop)
    await next_second()

    await world.certificate(shop, "other", clientRef={"name": "billing"}, secretName="billing-mtls")

    refused = await world.reason(CLIENT_CERTIFICATES, shop, "other", "SecretClaimed")
    assert 'ClientCertificate "billing" was first' in refused["message"]
    assert await world.secret(shop) == before


async def test_the_secret_ends_with_its_object_and_nothing_hangs(world: World, shop: str) -> None:
    await world.api.delete(CLIENT_CERTIFICATES.item(shop, "billing"))

    async def gone() -> bool:
        listed = await world.api.get(SECRETS.collection(shop))
        return "billing-mtls" not in [item["metadata"]["name"] for item in listed["items"]]

    # The garbage collector asks every 30 s which kinds there are, and right after the CRDs came it does not know ours.
    await eventually(gone, within=75)


async def test_a_changed_spec_is_reissued(world: World, shop: str) -> None:
    before = await world.secret(shop)

    await world.api.merge_patch(
        CLIENT_CERTIFICATES.item(shop, "billing"),
        {"spec": {"dnsNames": [f"billing.{shop}.svc"], "privateKey": {"algorithm": "ECDSA", "size": 384}}},
    )

    after = await changed(world, shop, before)
    assert load_pem_x509_certificate(after["tls.crt"]).public_key().key_size == 384  # type: ignore[union-attr]
    found = await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    assert found["status"]["revision"] == 2


async def test_a_renewal_follows_a_percentage_without_another_certificate(world: World, shop: str) -> None:
    before = await world.secret(shop)

    await world.api.merge_patch(CLIENT_CERTIFICATES.item(shop, "billing"), {"spec": {"renewBefore": "50%"}})

    status = (await world.ready(CLIENT_CERTIFICATES, shop, "billing"))["status"]
    left = datetime.fromisoformat(status["notAfter"]) - datetime.fromisoformat(status["renewalTime"])
    assert timedelta(hours=12) <= left < timedelta(hours=13, minutes=15), (
        "half of 24 h, and up to a tenth of it earlier"
    )
    assert await world.secret(shop) == before


async def test_a_key_that_never_rotates_is_kept_by_a_new_certificate_in_whatever_encoding(
    world: World, shop: str
) -> None:
    """openssl is the witness of the encoding."""
    await world.certificate(
        shop,
        "pinned",
        clientRef={"name": "billing"},
        privateKey={"algorithm": "RSA", "rotationPolicy": "Never", "encoding": "PKCS1"},
    )
    first = await world.ready(CLIENT_CERTIFICATES, shop, "pinned")
    before = await world.secret(shop, "pinned-mtls")

    await world.api.merge_patch(
        CLIENT_CERTIFICATES.item(shop, "pinned"), {"spec": {"duration": "12h", "privateKey": {"encoding": "PKCS8"}}}
    )

    second = await world.ready(CLIENT_CERTIFICATES, shop, "pinned")
    after = await world.secret(shop, "pinned-mtls")
    assert (first["status"]["revision"], second["status"]["revision"]) == (1, 2)
    assert second["status"]["keyFingerprint"] == first["status"]["keyFingerprint"]
    assert after["tls.crt"] != before["tls.crt"]
    assert before["tls.key"].startswith(b"-----BEGIN RSA PRIVATE KEY-----")
    assert after["tls.key"].startswith(b"-----BEGIN PRIVATE KEY-----")
    assert await public_half(before["tls.key"]) == await public_half(after["tls.key"])


async def public_half(pem: bytes) -> str:
    command = ["openssl", "pkey", "-pubout"]
    done = await asyncio.to_thread(subprocess.run, command, input=pem, capture_output=True, check=True)
    return done.stdout.decode()


def marks(secret: dict[str, Any]) -> dict[str, str]:
    """Labels and annotations that are not Mintls' own."""
    metadata = secret["metadata"]
    both = {**metadata["labels"], **metadata["annotations"]}
    return {key: value for key, value in both.items() if "mintls" not in key and "managed-by" not in key}


async def marked(world: World, shop: str, wanted: dict[str, str]) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        found = await world.get(SECRETS, shop, "tagged-mtls")
        return found if marks(found) == wanted else None

    found: dict[str, Any] = await eventually(look)
    return found


@pytest.mark.parametrize("renewed", [False, True], ids=["after the POST", "after an apply"])
async def test_the_template_comes_and_goes_and_what_others_wrote_stays(
    world: World,
    shop: str,
    renewed: bool,  # noqa: FBT001 - one of two ways
) -> None:
    """A field that the POST of the Secret wrote is owned twice after an apply, and would outlive the template."""
    template = {"labels": {"team": "blue", "tier": "one"}, "annotations": {"note": "mind this"}}
    await world.certificate(shop, "tagged", clientRef={"name": "billing"}, secretTemplate=template)
    await world.ready(CLIENT_CERTIFICATES, shop, "tagged")
    await marked(world, shop, {"team": "blue", "tier": "one", "note": "mind this"})
    item = CLIENT_CERTIFICATES.item(shop, "tagged")
    if renewed:
        await world.api.merge_patch(item, {"spec": {"duration": "12h"}})
        assert (await world.ready(CLIENT_CERTIFICATES, shop, "tagged"))["status"]["revision"] == 2
    world.cluster.kubectl("-n", shop, "label", "secret/tagged-mtls", "foreign=kept")
    before = await world.secret(shop, "tagged-mtls")

    await world.api.merge_patch(item, {"spec": {"secretTemplate": {"labels": {"tier": None, "zone": "a"}}}})
    await marked(world, shop, {"team": "blue", "zone": "a", "note": "mind this", "foreign": "kept"})
    await world.api.merge_patch(item, {"spec": {"secretTemplate": None}})
    after = await marked(world, shop, {"foreign": "kept"})

    await world.ready(CLIENT_CERTIFICATES, shop, "tagged")
    assert await world.secret(shop, "tagged-mtls") == before, "certificate and key are the same"
    ours = [entry["operation"] for entry in after["metadata"]["managedFields"] if entry["manager"] == "mintls"]
    assert ours == ["Apply"]


async def test_what_leaves_the_template_costs_one_write_more_and_only_the_first_time(world: World, shop: str) -> None:
    running = world.running
    assert running is not None
    template = {"labels": {"team": "blue", "tier": "one"}}
    await world.certificate(shop, "tagged", clientRef={"name": "billing"}, secretTemplate=template)
    await world.ready(CLIENT_CERTIFICATES, shop, "tagged")
    counts = []
    for label in ("tier", "team"):
        before = len(running.requests.writes)
        change = {"spec": {"secretTemplate": {"labels": {label: None}}}}
        await world.api.merge_patch(CLIENT_CERTIFICATES.item(shop, "tagged"), change)
        await world.ready(CLIENT_CERTIFICATES, shop, "tagged")
        counts.append([write[1] for write in running.requests.writes[before:]].count("secrets"))
    assert counts == [2, 1]


async def test_a_name_of_another_namespace_is_not_issued(world: World, shop: str) -> None:
    await world.certificate(shop, "thief", clientRef={"name": "billing"}, dnsNames=["bank.vault.svc"])

    refused = await world.reason(CLIENT_CERTIFICATES, shop, "thief", "NameNotAllowed")

    assert refused["message"] == (
        f"spec.dnsNames bank.vault.svc: of the cluster's names only those of Services of namespace {shop} are allowed, "
        f"such as <service>.{shop}.svc"
    )


async def test_an_identity_of_another_namespace_is_not_given(world: World, shop: str) -> None:
    victim = f"spiffe://cluster.local/ns/{shop}/client/billing"
    elsewhere = await world.namespace()
    await world.client(elsewhere, "thief", tlsClientAuth={"sanURI": victim})
    await world.certificate(elsewhere, "thief")

    await world.reason(OAUTH_CLIENTS, elsewhere, "thief", "IdentityNotAllowed")
    refused = await world.reason(CLIENT_CERTIFICATES, elsewhere, "thief", "ClientInvalid")

    assert "is in the trust domain of this installation" in refused["message"]


async def test_further_forms_are_what_openssl_reads_and_follow_the_key(world: World, tmp_path: Path) -> None:
    await world.authority()
    await world.operator()
    shop = await world.namespace()
    await world.client(shop)
    await world.certificate(shop, additionalOutputFormats=[{"type": "CombinedPEM"}, {"type": "DER"}])
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")

    async def agree(files: dict[str, bytes]) -> None:
        for name, content in files.items():
            (tmp_path / name).write_bytes(content)
        keys = []
        for source in ("-in tls.key", "-in tls-combined.pem", "-in key.der -inform DER"):
            command = f"openssl pkey {source} -pubout".split()
            keys.append(await asyncio.to_thread(subprocess.check_output, command, cwd=tmp_path))
        assert len(set(keys)) == 1
        assert files["tls-combined.pem"].endswith(files["tls.crt"])

    before = await world.secret(shop)
    await agree(before)
    await world.api.merge_patch(SECRETS.item(shop, "billing-mtls"), {"data": {"key.der": None}})

    async def whole() -> bool:
        return "key.der" in await world.secret(shop)

    await eventually(whole)
    await agree(await world.secret(shop))
    item = CLIENT_CERTIFICATES.item(shop, "billing")
    await world.api.merge_patch(item, {"metadata": {"annotations": {"mintls.dev/rekey-requested-at": "now"}}})

    async def rekeyed() -> bool:
        return (await world.secret(shop))["tls.key"] != before["tls.key"]

    await eventually(rekeyed)
    await agree(await world.secret(shop))
    await world.api.merge_patch(item, {"spec": {"additionalOutputFormats": []}})

    async def gone() -> bool:
        return not {"key.der", "tls-combined.pem"} & set(await world.secret(shop))

    await eventually(gone)


async def test_a_secret_is_taken_over_when_its_owner_hands_it_over_and_then_kept(world: World) -> None:
    await world.authority()
    shop = await world.namespace()
    blank = {name: base64.b64encode(b"kept").decode() for name in ("tls.crt", "tls.key", "notes")}
    named = {"metadata": {"name": "billing-mtls"}}
    foreign = {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "data": blank, **named}
    await world.api.apply(SECRETS.item(shop, "billing-mtls"), foreign, field_manager="his-own")
    await world.client(shop)
    await world.certificate(shop)
    await world.operator()
    await world.reason(CLIENT_CERTIFICATES, shop, "billing", "SecretNotOwned")

    await patch_secret(world, shop, {"metadata": {"annotations": {"mintls.dev/hand-over-to": "billing"}}})
    await world.api.merge_patch(CLIENT_CERTIFICATES.item(shop, "billing"), {"spec": {"duration": "12h"}})

    await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    files = await world.secret(shop)
    assert belongs_together(files)
    assert files["notes"] == b"kept"
    owners = (await world.get(SECRETS, shop, "billing-mtls"))["metadata"]["ownerReferences"]
    assert [owner["name"] for owner in owners] == ["billing"]
    await patch_secret(world, shop, {"data": {"tls.crt": base64.b64encode(b"scribble").decode()}})
    await changed(world, shop, files)


async def test_a_secret_of_another_type_that_is_handed_over_stays_as_it_is(world: World) -> None:
    await world.authority()
    shop = await world.namespace()
    metadata = {"name": "billing-mtls", "annotations": {"mintls.dev/hand-over-to": "billing"}}
    foreign = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"mine": "x"}}
    created = await world.api.create(SECRETS.collection(shop), foreign)
    await world.client(shop)
    await world.certificate(shop)
    await world.operator()

    refused = await world.reason(CLIENT_CERTIFICATES, shop, "billing", "SecretNotOwned")

    assert 'it is of type "Opaque", and has to be of type "kubernetes.io/tls"' in refused["message"]
    assert await world.get(SECRETS, shop, "billing-mtls") == created
