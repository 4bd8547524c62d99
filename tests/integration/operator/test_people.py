"""The commands for people, against a real API with a real operator."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from builders import pki
from builders.world import SYSTEM, World, free_port
from mintls.cli.main import main
from mintls.core.pki.origin import Origin
from mintls.kube.paths import CERTIFICATE_AUTHORITIES, CLIENT_CERTIFICATES, OAUTH_CLIENTS, SECRETS

pytestmark = pytest.mark.cluster

CLUSTER_ROLE = "/apis/rbac.authorization.k8s.io/v1/clusterroles/mintls-operator"


async def mintls(world: World, *arguments: str) -> Result:
    """Run a command as a person would; its own event loop is in a thread of its own."""
    whole = [*arguments, "--kubeconfig", str(world.cluster.kubeconfig)]
    return await asyncio.to_thread(CliRunner().invoke, main, whole)


async def shop_with_a_client(world: World, **spec: Any) -> str:
    shop = await world.namespace()
    await world.authority()
    await world.operator()
    await world.issuer()
    await world.client(shop)
    await world.certificate(shop, **spec)
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    await world.ready(OAUTH_CLIENTS, shop, "billing")
    return shop


async def test_renew_waits_for_another_certificate_and_rekey_for_another_key(world: World) -> None:
    shop = await shop_with_a_client(world, privateKey={"rotationPolicy": "Never"})
    first = (await world.get(CLIENT_CERTIFICATES, shop, "billing"))["status"]

    tried = await mintls(world, "renew", "billing", "-n", shop, "--dry-run")
    assert (tried.exit_code, "would set the annotation" in tried.output) == (0, True)

    renewed = await mintls(world, "renew", "billing", "-n", shop)
    second = (await world.get(CLIENT_CERTIFICATES, shop, "billing"))["status"]
    assert renewed.exit_code == 0, renewed.output
    assert f"ok      ClientCertificate {shop}/billing: serial number {second['serialNumber']}" in renewed.output
    assert second["serialNumber"] != first["serialNumber"]
    assert second["keyFingerprint"] == first["keyFingerprint"]

    rekeyed = await mintls(world, "rekey", "billing", "-n", shop, "-o", "json")
    third = (await world.get(CLIENT_CERTIFICATES, shop, "billing"))["status"]
    assert json.loads(rekeyed.output)[0]["done"] is True
    assert third["keyFingerprint"] != first["keyFingerprint"]


async def test_a_renewal_that_fails_says_why(world: World) -> None:
    shop = await shop_with_a_client(world)
    await world.api.delete(SECRETS.item(SYSTEM, "mintls-authority-default-root"))
    refused = await mintls(world, "renew", "billing", "-n", shop, "--timeout", "5")
    assert refused.exit_code == 1
    assert f"failed  ClientCertificate {shop}/billing: " in refused.output


async def test_a_root_that_is_somebody_else_s_is_not_asked_for(world: World) -> None:
    await world.authority("corporate", secretRef={"name": "corporate-ca"})
    refused = await mintls(world, "rotate-root", "corporate", "--yes")
    assert refused.exit_code == 1
    assert "is somebody else's (spec.secretRef), who replaces it: see docs/own-ca.md" in refused.output
    found = await world.get(CERTIFICATE_AUTHORITIES, None, "corporate")
    assert "annotations" not in found["metadata"]


async def test_an_object_that_is_not_there_is_named(world: World) -> None:
    shop = await world.namespace()
    gone = await mintls(world, "renew", "nothing", "-n", shop)
    assert gone.exit_code == 1
    assert f"clientcertificates.mintls.dev {shop}/nothing" in gone.output
    nothing = await mintls(world, "inspect", "nothing", "-n", shop)
    assert nothing.exit_code == 1
    assert f'there is neither a Secret nor a ClientCertificate "nothing" in namespace {shop}' in nothing.output


async def test_one_that_is_not_there_keeps_the_others_from_nothing(world: World) -> None:
    shop = await shop_with_a_client(world)
    both = await mintls(world, "renew", "billing", "nothing", "-n", shop)
    assert both.exit_code == 1
    assert f"ok      ClientCertificate {shop}/billing: serial number" in both.output
    assert f"failed  ClientCertificate {shop}/nothing: " in both.output


async def test_status_shows_what_is_well_and_ends_with_1_for_what_is_not(world: World) -> None:
    shop = await shop_with_a_client(world)
    well = await mintls(world, "status", "-n", shop)
    assert well.exit_code == 0, well.output
    assert well.output.count("ok ") == 3
    assert "renewal in 1" in well.output

    await world.client(shop, "greedy", tlsClientAuth={"sanURI": "spiffe://cluster.local/ns/bank/client/vault"})
    await world.reason(OAUTH_CLIENTS, shop, "greedy", "IdentityNotAllowed")
    wrong = await mintls(world, "status", "-n", shop, "-o", "json")
    assert wrong.exit_code == 1
    [greedy] = [line for line in json.loads(wrong.output) if line["name"] == "greedy"]
    assert (greedy["state"], greedy["reason"]) == ("wrong", "IdentityNotAllowed")


async def test_inspect_says_what_is_in_a_secret_and_whose_it_is(world: World) -> None:
    shop = await shop_with_a_client(world)
    well = await mintls(world, "inspect", "billing-mtls", "-n", shop)
    assert well.exit_code == 0, well.output
    assert f"URI spiffe://cluster.local/ns/{shop}/client/billing" in well.output
    assert "PRIVATE KEY" not in well.output

    await world.api.delete(OAUTH_CLIENTS.item(shop, "billing"))
    orphan = await mintls(world, "inspect", "billing-mtls", "-n", shop)
    assert orphan.exit_code == 1
    assert "WRONG  OAuthClient        billing does not exist" in orphan.output


async def test_inspect_says_whose_a_certificate_in_a_file_is(world: World, tmp_path: Path) -> None:
    shop = await shop_with_a_client(world)
    files = await world.secret(shop)
    (tmp_path / "tls.crt").write_bytes(files["tls.crt"])
    well = await mintls(world, "inspect", "-f", str(tmp_path / "tls.crt"), "-n", shop)
    assert well.exit_code == 0, well.output
    assert f"ok     ClientCertificate  {shop}/billing: it speaks of this certificate" in well.output
    assert "the private key was not looked at" in well.output

    elsewhere = await mintls(world, "inspect", "-f", str(tmp_path / "tls.crt"), "-n", SYSTEM)
    assert elsewhere.exit_code == 1
    assert "WRONG  ClientCertificate  its ClientCertificate is not in this namespace" in elsewhere.output

    stranger = pki.authority("mine").client(origin=Origin("ClientCertificate", "another"))
    (tmp_path / "foreign.crt").write_bytes(stranger.tls_crt)
    foreign = await mintls(world, "inspect", "-f", str(tmp_path / "foreign.crt"), "-n", shop)
    assert foreign.exit_code == 1
    assert "WRONG  trust bundle       none of its 1 root(s) signed the chain" in foreign.output

    (tmp_path / "tls.key").write_bytes(files["tls.key"])
    key = await mintls(world, "inspect", "-f", str(tmp_path / "tls.key"), "-n", shop)
    assert key.exit_code == 1
    assert "Error: this is no certificate in PEM: " in key.output
    assert "PRIVATE" not in key.output
    both = await mintls(world, "inspect", "billing", "-f", str(tmp_path / "tls.crt"), "-n", shop)
    assert both.exit_code == 2
    assert "name a Secret or a ClientCertificate, or give a certificate with -f" in both.output


async def test_check_says_what_is_missing_of_an_installation(world: World) -> None:
    before = await mintls(world, "check")
    assert before.exit_code == 1
    assert "WRONG  operator           no replica leads in namespace mintls-system" in before.output
    assert before.output.count("ok     kind") == 4, "the kinds are those of this program, by the API server's word"
    assert "ok     rights             you may install" in before.output

    await shop_with_a_client(world)
    after = await mintls(world, "check", "-o", "json", "--issuer-url", world.installation.issuer_url)
    told = {one["what"]: one for one in json.loads(after.output)}
    assert {name for name, one in told.items() if not one["well"]} == {"issuer"}, "here it is no Service's"
    assert told["rights"]["text"] == "the operator has those that it needs"
    assert told["trust"]["text"].endswith("answers, and the trust bundle vouches for it")


async def test_check_says_which_rights_are_missing_and_what_cannot_be_reached_or_trusted(world: World) -> None:
    kubeconfig = str(world.kubeconfig("mintls-issuer"))
    nobody = await asyncio.to_thread(CliRunner().invoke, main, ["check", "--kubeconfig", kubeconfig])
    assert nobody.exit_code == 1
    assert "customresourcedefinitions" in nobody.output

    await shop_with_a_client(world)
    elsewhere = f"127.0.0.1:{free_port()}"
    for asked, text in (
        (["--connect-to", elsewhere], "cannot be reached"),
        (["--connect-to", "{}:{}".format(*world.server())], "its certificate is not to be trusted"),
    ):
        found = await mintls(world, "check", "--issuer-url", world.installation.issuer_url, *asked)
        [line] = [line for line in found.output.splitlines() if line.startswith("WRONG  trust")]
        assert text in line

    role = json.loads(world.cluster.kubectl("get", "clusterrole", "mintls-operator", "-o", "json"))
    kept = [rule for rule in role["rules"] if rule["resources"] != ["secrets"]]
    await world.api.merge_patch(CLUSTER_ROLE, {"rules": kept})
    try:
        found = await mintls(world, "check")
    finally:
        await world.api.merge_patch(CLUSTER_ROLE, {"rules": role["rules"]})
    [line] = [line for line in found.output.splitlines() if line.startswith("WRONG  rights")]
    assert "mintls-operator may not get secrets, list secrets, watch secrets" in line
    assert "run `helm upgrade`" in line


async def test_every_answer_is_yaml_where_it_is_asked_for(world: World) -> None:
    shop = await shop_with_a_client(world)
    for command in (
        ["status"],
        ["check"],
        ["inspect", "billing"],
        ["renew", "billing"],
        ["revoke", "billing", "--dry-run"],
        ["rotate-root", "--dry-run"],
        ["token", "billing-mtls"],
    ):
        answer = await mintls(world, *command, "-n", shop, "-o", "yaml")
        assert not isinstance(answer.exception, Exception), answer.output
        assert yaml.safe_load(answer.output), answer.output


async def test_token_gets_one_with_the_credential_of_a_secret_and_says_what_is_in_it(world: World) -> None:
    shop = await shop_with_a_client(world)
    await world.api.merge_patch(OAUTH_CLIENTS.item(shop, "billing"), {"spec": {"scopes": ["orders.read"]}})
    await world.ready(OAUTH_CLIENTS, shop, "billing")
    status = (await world.get(CLIENT_CERTIFICATES, shop, "billing"))["status"]

    fetched = await mintls(world, "token", "billing-mtls", "-n", shop, "--scope", "orders.read")
    assert fetched.exit_code == 0, fetched.output
    assert f"bound to this certificate, x5t#S256 {status['thumbprint']}" in fetched.output
    assert f"client_id          {shop}:billing" in fetched.output
    assert "ES256 of the issuer's key" in fetched.output

    raw = await mintls(world, "token", "billing-mtls", "-n", shop, "--raw")
    assert raw.output.count(".") == 2
    assert raw.output.strip() not in fetched.output, "the token itself is shown on request only"


async def test_a_token_that_is_refused_says_what_the_issuer_said_and_where_the_reason_is(world: World) -> None:
    shop = await shop_with_a_client(world)
    greedy = await mintls(world, "token", "billing-mtls", "-n", shop, "--scope", "bank.rob")
    assert greedy.exit_code == 1
    assert "WRONG  token              HTTP 400, invalid_scope" in greedy.output
    assert "the issuer's log why: request " in greedy.output

    await world.api.merge_patch(OAUTH_CLIENTS.item(shop, "billing"), {"spec": {"suspended": True}})
    await world.reason(OAUTH_CLIENTS, shop, "billing", "Suspended")
    suspended = await mintls(world, "token", "billing-mtls", "-n", shop, "-o", "json")
    assert (suspended.exit_code, json.loads(suspended.output)[0]["well"]) == (1, False)


async def test_an_issuer_that_cannot_be_reached_is_named_with_what_to_do(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = await shop_with_a_client(world)
    elsewhere = await mintls(world, "token", "billing-mtls", "-n", shop, "--connect-to", f"127.0.0.1:{free_port()}")
    assert elsewhere.exit_code == 1
    assert f"{world.installation.token_endpoint} (at 127.0.0.1:" in elsewhere.output

    secret = await world.get(SECRETS, shop, "billing-mtls")
    inside = base64.b64encode(b"https://mintls-issuer.mintls-system.svc:9443/token").decode()
    other = {"metadata": {"name": "inside"}, "data": secret["data"] | {"token-endpoint": inside}}
    await world.api.create(SECRETS.collection(shop), {"apiVersion": "v1", "kind": "Secret", **other})
    monkeypatch.setenv("PATH", "/nowhere")
    alone = await mintls(world, "token", "inside", "-n", shop)
    assert (alone.exit_code, "--connect-to HOST:PORT" in alone.output) == (1, True)
    monkeypatch.setenv("PATH", str(world.cluster.kubectl_path.parent))
    forwarded = await mintls(world, "token", "inside", "-n", shop)
    assert forwarded.exit_code == 1
    assert "kubectl port-forward to mintls-issuer.mintls-system.svc failed: " in forwarded.output

    foreign = await mintls(world, "token", "inside", "-n", shop, "--connect-to", f"127.0.0.1:{world.ports[1]}")
    assert foreign.exit_code == 1
    assert "its certificate is not to be trusted" in foreign.output

    plain = {"metadata": {"name": "plain"}, "data": {"tls.crt": secret["data"]["tls.crt"]}}
    await world.api.create(SECRETS.collection(shop), {"apiVersion": "v1", "kind": "Secret", **plain})
    none = await mintls(world, "token", "plain", "-n", shop)
    assert "Secret plain is no credential of a client: it lacks tls.key, ca.crt, client-id" in none.output


async def test_revoke_asks_first_and_ends_the_certificates_for_good(world: World) -> None:
    shop = await shop_with_a_client(world)
    tried = await mintls(world, "revoke", "billing", "-n", shop, "--dry-run")
    assert (tried.exit_code, "would be revoked" in tried.output) == (0, True)
    unsure = await mintls(world, "revoke", "billing", "-n", shop)
    assert (unsure.exit_code, "It cannot be taken back" in unsure.output) == (1, True)
    one_is_missing = await mintls(world, "revoke", "billing", "nothing", "-n", shop, "--yes")
    assert one_is_missing.exit_code == 1
    assert (await world.get(CLIENT_CERTIFICATES, shop, "billing"))["spec"]["revoked"] is False

    done = await mintls(world, "revoke", "billing", "-n", shop, "--yes")
    assert (done.exit_code, done.output.strip()) == (0, f"ClientCertificate {shop}/billing: revoked")
    await world.reason(CLIENT_CERTIFICATES, shop, "billing", "Revoked")
    refused = await mintls(world, "token", "billing-mtls", "-n", shop)
    assert (refused.exit_code, "HTTP 401, invalid_client" in refused.output) == (1, True)


async def test_rotate_root_follows_it_until_the_new_root_signs_and_undoes_what_does_not(world: World) -> None:
    await world.authority(selfSigned={"root": {"trustBeforeUse": "2s"}})
    await world.operator()
    await world.issuer()
    before = (await world.ready(CERTIFICATE_AUTHORITIES, None, "default"))["status"]["keys"][0]["fingerprint"]
    tried = await mintls(world, "rotate-root", "--dry-run")
    assert tried.output.strip() == "CertificateAuthority default: would replace the root by another one"

    held = await mintls(world, "rotate-root", "--abort", "--yes")
    assert held.exit_code == 0, held.output
    followed = await mintls(world, "rotate-root", "default", "--yes", "--timeout", "60")
    assert followed.exit_code == 0, followed.output
    assert "Preparing: the next root" in followed.output
    assert "CertificateAuthority default: the new root signs" in followed.output
    assert (await world.get(CERTIFICATE_AUTHORITIES, None, "default"))["status"]["keys"][0]["fingerprint"] != before

    late = await mintls(world, "rotate-root", "--abort", "--dry-run")
    assert "the present one cannot be undone" in late.output or "begin no rotation" in late.output
    unsure = await mintls(world, "rotate-root")
    assert (unsure.exit_code, "replace the root by another one" in unsure.output) == (1, True)
    gone = await mintls(world, "rotate-root", "nothing", "--yes")
    assert (gone.exit_code, "certificateauthorities.mintls.dev nothing" in gone.output) == (1, True)
