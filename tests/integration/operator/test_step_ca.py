"""A real step-ca signs the certificates: in order, away, restarted, with another credential, and an impostor's."""

import asyncio
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509

from builders.step_ca import PASSWORD, StepCA, leaf_of, make_provisioner
from builders.world import REPOSITORY, SYSTEM, World, condition, eventually
from clusterlib.progress import Progress
from clusterlib.pytest_plugin import uncaptured
from clusterlib.stepca import ensure_step_ca
from integration.operator.test_request import certificate_of, openssl_request
from integration.operator.test_token import token
from mintls.kube.paths import CERTIFICATE_AUTHORITIES, CLIENT_CERTIFICATES, EVENTS, OAUTH_CLIENTS, SECRETS

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="session")
def program(pytestconfig: pytest.Config) -> Path:
    with uncaptured(pytestconfig):
        return ensure_step_ca(Progress())


@pytest.fixture
async def step_ca(program: Path, tmp_path: Path) -> AsyncIterator[StepCA]:
    one = StepCA.make(program, tmp_path / "step-ca")
    await one.start()
    yield one
    await one.stop()


async def credential(world: World, **data: str) -> None:
    """The Secret with the provisioner's credential, with the label that makes a change known at once."""
    metadata = {"name": "step-ca", "labels": {"mintls.dev/authority": "step"}}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}
    await world.api.create(SECRETS.collection(SYSTEM), body)


async def change(world: World, **data: str) -> None:
    await world.api.merge_patch(SECRETS.item(SYSTEM, "step-ca"), {"stringData": data})


async def annotate(world: World, namespace: str, value: str) -> None:
    body = {"metadata": {"annotations": {"mintls.dev/renew-requested-at": value}}}
    await world.api.merge_patch(CLIENT_CERTIFICATES.item(namespace, "billing"), body)


def commands(section: str) -> list[str]:
    """The shell blocks of a section of the page."""
    page = (REPOSITORY / "docs" / "external-ca.md").read_text()
    text = page[page.index(f"\n## {section}\n") + 1 :].partition("\n## ")[0]
    found: list[str] = re.findall(r"^```sh\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return found


@pytest.fixture
async def shop(world: World, step_ca: StepCA) -> str:
    """A client that is vouched for by step-ca alone; the issuer has its own authority."""
    await world.authority()
    await world.authority("step", **step_ca.spec())
    await world.operator()
    await world.issuer()
    name = await world.namespace()
    await world.client(name, authorities=[{"name": "step"}])
    await world.certificate(name, authorityRef={"name": "step"}, duration="1h")
    return name


@asynccontextmanager
async def beside(step_ca: StepCA, program: Path, folder: Path) -> AsyncIterator[StepCA]:
    """Another step-ca, with a root of its own and the same provisioner."""
    following = StepCA.make(program, folder / "following")
    following.provisioner = step_ca.provisioner
    following.configure()
    await following.start()
    try:
        yield following
    finally:
        await following.stop()


async def issued(world: World, shop: str) -> dict[str, bytes]:
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    await world.ready(OAUTH_CLIENTS, shop, "billing")
    return await world.secret(shop)


async def renewed(world: World, shop: str, before: dict[str, bytes]) -> dict[str, bytes]:
    async def look() -> dict[str, bytes] | None:
        now = await world.secret(shop)
        return now if now["tls.crt"] != before["tls.crt"] else None

    found: dict[str, bytes] = await eventually(look)
    return found


async def test_it_issues_and_renews_and_the_certificate_gets_a_token(
    world: World, shop: str, step_ca: StepCA, tmp_path: Path
) -> None:
    waits = await world.reason(CERTIFICATE_AUTHORITIES, None, "step", "SecretMissing")
    assert f"there is no Secret {SYSTEM}/step-ca" in waits["message"]

    await credential(world, password=f"{PASSWORD}\n")
    files = await issued(world, shop)
    uid = (await world.get(CLIENT_CERTIFICATES, shop, "billing"))["metadata"]["uid"]
    leaf = leaf_of(files)
    assert leaf.subject.rfc4514_string() == f"CN=mintls:ClientCertificate:{uid}"
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(name.value) for name in names] == [f"spiffe://cluster.local/ns/{shop}/client/billing"]
    assert (await token(tmp_path, files))[0] == 200
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "root.crt").write_text(step_ca.root)
    verify = "openssl verify -x509_strict -purpose sslclient -CAfile root.crt -untrusted tls.crt tls.crt"
    done = await asyncio.to_thread(subprocess.run, verify.split(), cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr

    await annotate(world, shop, "1")
    after = await renewed(world, shop, files)
    assert (await token(tmp_path, after))[0] == 200
    assert (await token(tmp_path, files))[0] == 200, "the one before is good until its end"


async def test_it_takes_the_key_itself_as_the_credential(
    world: World, shop: str, step_ca: StepCA, tmp_path: Path
) -> None:
    await credential(world, jwk=step_ca.provisioner.jwk)
    assert (await token(tmp_path, await issued(world, shop)))[0] == 200


async def test_it_signs_a_request_whose_key_never_comes_here(world: World, step_ca: StepCA, tmp_path: Path) -> None:
    await world.authority()
    await world.authority("step", **step_ca.spec())
    await credential(world, password=PASSWORD)
    await world.operator()
    await world.issuer()
    shop = await world.namespace()
    await world.client(shop, authorities=[{"name": "step"}])
    own = f"URI:spiffe://cluster.local/ns/{shop}/client/billing"
    request = await openssl_request(tmp_path, own, subject="/")
    await world.certificate(shop, authorityRef={"name": "step"}, duration="1h", request=request)

    await world.ready(OAUTH_CLIENTS, shop, "billing")
    assert (await token(tmp_path, await certificate_of(world, shop, tmp_path)))[0] == 200


async def test_a_deleted_object_ends_its_certificate_at_the_issuer(world: World, shop: str, tmp_path: Path) -> None:
    await credential(world, password=PASSWORD)
    files = await issued(world, shop)
    assert (await token(tmp_path, files))[0] == 200
    await world.api.delete(CLIENT_CERTIFICATES.item(shop, "billing"))

    async def refused() -> bool:
        return (await token(tmp_path, files))[0] == 401

    await eventually(refused, within=5)


async def test_away_it_is_told_and_waited_for_and_back_it_goes_on(
    world: World, shop: str, step_ca: StepCA, tmp_path: Path
) -> None:
    await credential(world, password=PASSWORD)
    files = await issued(world, shop)
    await step_ca.stop()
    await annotate(world, shop, "1")
    told = await world.reason(CERTIFICATE_AUTHORITIES, None, "step", "ExternalUnreachable")
    assert f"step-ca at {step_ca.url} does not answer" in told["message"]
    assert (await token(tmp_path, files))[0] == 200, "what was issued stays good"

    async def waits() -> bool:
        found = condition(await world.get(CLIENT_CERTIFICATES, shop, "billing"), "Issuing")
        return found["reason"] == "AuthorityNotReady" and "does not answer" in found["message"]

    await eventually(waits)
    assert condition(await world.get(CLIENT_CERTIFICATES, shop, "billing"), "Ready")["status"] == "True"
    await world.client(shop, "late", authorities=[{"name": "step"}])
    await world.certificate(shop, "late", authorityRef={"name": "step"}, duration="1h")
    await world.reason(CLIENT_CERTIFICATES, shop, "late", "AuthorityNotReady")

    await step_ca.start()
    await world.ready(CERTIFICATE_AUTHORITIES, None, "step", within=60)
    after = await renewed(world, shop, files)
    assert (await token(tmp_path, after))[0] == 200
    await world.ready(CLIENT_CERTIFICATES, shop, "late")


async def test_a_restart_of_it_is_not_noticed(world: World, shop: str, step_ca: StepCA, tmp_path: Path) -> None:
    await credential(world, password=PASSWORD)
    files = await issued(world, shop)
    await step_ca.stop()
    await step_ca.start()
    await annotate(world, shop, "1")
    assert (await token(tmp_path, await renewed(world, shop, files)))[0] == 200


async def test_another_credential_is_told_and_never_shown(world: World, step_ca: StepCA) -> None:
    await world.authority()
    await world.authority("step", **step_ca.spec())
    await world.operator()
    await credential(world, password="wrong-password-7531")
    told = await world.reason(CERTIFICATE_AUTHORITIES, None, "step", "KeyBroken")
    assert "cannot be decrypted: the password is another one" in told["message"]
    stranger = make_provisioner().jwk
    await change(world, jwk=stranger)

    async def foreign() -> bool:
        found = condition(await world.get(CERTIFICATE_AUTHORITIES, None, "step"), "Ready")
        return 'jwk is not the key that the CA has for provisioner "mintls"' in found["message"]

    await eventually(foreign)
    said = str([item async for page in world.api.list_pages(EVENTS.collection()) for item in page["items"]])
    said += str(await world.get(CERTIFICATE_AUTHORITIES, None, "step"))
    secret = json.loads(stranger)["d"]
    assert "wrong-password-7531" not in said
    assert secret not in said
    await change(world, jwk=step_ca.provisioner.jwk)
    await world.ready(CERTIFICATE_AUTHORITIES, None, "step")


async def test_a_provisioner_that_it_does_not_have_is_told(world: World, step_ca: StepCA) -> None:
    spec = step_ca.spec()
    spec["external"]["stepCA"]["provisioner"]["name"] = "mint"
    await world.authority()
    await world.authority("step", **spec)
    await credential(world, password=PASSWORD)
    await world.operator()
    told = await world.reason(CERTIFICATE_AUTHORITIES, None, "step", "ExternalRefused")
    assert 'the CA has no provisioner "mint" of type JWK; of that type it has: mintls' in told["message"]


async def test_what_it_refuses_to_sign_is_told_in_its_words(world: World, shop: str, step_ca: StepCA) -> None:
    step_ca.configure(claims={"maxTLSCertDuration": "30m", "defaultTLSCertDuration": "30m"})
    await step_ca.stop()
    await step_ca.start()
    await credential(world, password=PASSWORD)
    told = await world.reason(CLIENT_CERTIFICATES, shop, "billing", "ExternalRefused")
    assert "is more than the authorized maximum certificate duration" in told["message"]


async def test_names_that_its_template_adds_are_not_taken(world: World, shop: str, step_ca: StepCA) -> None:
    template = (
        '{"subject": {{ toJson .Subject }}, "sans": [{"type": "dns", "value": "admin.example"}], '
        '"keyUsage": ["digitalSignature"], "extKeyUsage": ["clientAuth"]}'
    )
    step_ca.configure(options={"x509": {"template": template}})
    await step_ca.stop()
    await step_ca.start()
    await credential(world, password=PASSWORD)
    told = await world.reason(CLIENT_CERTIFICATES, shop, "billing", "ExternalAnswerWrong")
    assert "it has sanDNS 'admin.example', lacks sanURI" in told["message"]
    async with asyncio.timeout(5):
        found = [item async for page in world.api.list_pages(SECRETS.collection(shop)) for item in page["items"]]
    assert not [item for item in found if item["metadata"]["name"] == "billing-mtls"]


async def test_another_ca_at_its_address_is_refused(
    world: World, shop: str, step_ca: StepCA, program: Path, tmp_path: Path
) -> None:
    """Its root is another of the same name; it would take the same provisioner."""
    await credential(world, password=PASSWORD)
    files = await issued(world, shop)
    await step_ca.stop()
    impostor = StepCA.make(program, tmp_path / "impostor", port=step_ca.port)
    impostor.provisioner = step_ca.provisioner
    impostor.configure()
    await impostor.start()
    try:
        await annotate(world, shop, "1")
        told = await world.reason(CERTIFICATE_AUTHORITIES, None, "step", "ExternalNotTrusted")
        assert f"the server at {step_ca.url} is not trusted" in told["message"]
        assert "/1.0/sign" not in impostor.log(), "it is shown no token"
        assert (await world.secret(shop))["tls.crt"] == files["tls.crt"]
    finally:
        await impostor.stop()


async def test_the_commands_of_the_page_make_an_authority(world: World, step_ca: StepCA, tmp_path: Path) -> None:
    await world.authority()
    await world.operator()
    [_, block] = commands("step-ca")
    (tmp_path / "root_ca.crt").write_text(step_ca.root)
    (tmp_path / "password.txt").write_text(f"{PASSWORD}\n")
    environment = world.cluster.environment() | {"STEP_CA_URL": step_ca.url}
    environment["PATH"] = f"{world.cluster.kubectl_path.parent}{os.pathsep}{environment['PATH']}"
    command = ["bash", "-euo", "pipefail", "-c", block]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


async def test_another_root_comes_beside_the_first_and_then_in_its_place(
    world: World, shop: str, step_ca: StepCA, program: Path, tmp_path: Path
) -> None:
    await credential(world, password=PASSWORD)
    before = await issued(world, shop)
    path = CERTIFICATE_AUTHORITIES.item(None, "step")
    async with beside(step_ca, program, tmp_path) as following:
        both = {"caBundle": f"{step_ca.root}{following.root}"}
        await world.api.merge_patch(path, {"spec": {"external": both}})

        async def trusted() -> bool:
            return (await world.secret(shop))["ca.crt"].count(b"BEGIN") == 3

        await eventually(trusted)
        assert (await world.secret(shop))["tls.crt"] == before["tls.crt"], "a further root is no reason to issue anew"

        await world.api.merge_patch(path, {"spec": {"external": {"stepCA": {"url": following.url}}}})
        await world.ready(CERTIFICATE_AUTHORITIES, None, "step")
        await annotate(world, shop, "1")
        after = await renewed(world, shop, before)
        assert (await token(tmp_path, after))[0] == 200
        assert (await token(tmp_path, before | {"ca.crt": after["ca.crt"]}))[0] == 200
        leaf_of(after).verify_directly_issued_by(
            x509.load_pem_x509_certificate((following.folder / "intermediate.crt").read_bytes())
        )

        await world.api.merge_patch(path, {"spec": {"external": {"caBundle": following.root}}})

        async def alone() -> bool:
            return (await world.secret(shop))["ca.crt"].count(b"BEGIN") == 2

        await eventually(alone)
        assert (await world.secret(shop))["tls.crt"] == after["tls.crt"], "it is of the root that stays"
        refused = before | {"ca.crt": after["ca.crt"]}

        async def ended() -> bool:
            try:
                return (await token(tmp_path, refused))[0] != 200
            except subprocess.CalledProcessError as error:
                return error.returncode == 56  # an alert: nobody vouches for it any more

        await eventually(ended)
        assert (await token(tmp_path, after))[0] == 200


async def test_what_is_of_a_root_that_was_taken_out_is_issued_anew(
    world: World, shop: str, step_ca: StepCA, program: Path, tmp_path: Path
) -> None:
    await credential(world, password=PASSWORD)
    before = await issued(world, shop)
    async with beside(step_ca, program, tmp_path) as following:
        spec = {"caBundle": following.root, "stepCA": {"url": following.url}}
        await world.api.merge_patch(CERTIFICATE_AUTHORITIES.item(None, "step"), {"spec": {"external": spec}})
        after = await renewed(world, shop, before)
        await world.ready(OAUTH_CLIENTS, shop, "billing")

        async def taken() -> bool:
            return (await token(tmp_path, after))[0] == 200

        await eventually(taken)


async def test_an_issued_certificate_costs_two_writes_and_looking_again_none(world: World, step_ca: StepCA) -> None:
    await world.authority()
    await world.authority("step", **step_ca.spec())
    await credential(world, password=PASSWORD)
    running = await world.operator()
    await world.issuer()
    shop = await world.namespace()
    await world.client(shop, authorities=[{"name": "step"}])
    await world.ready(CERTIFICATE_AUTHORITIES, None, "step")
    await world.ready(OAUTH_CLIENTS, shop, "billing")
    count = len(await running.writes(0))
    await world.certificate(shop, authorityRef={"name": "step"}, duration="1h")
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    writes = [(verb, resource) for verb, resource, _ in await running.writes(2, count) if resource != "events"]
    assert sorted(writes) == [("create", "secrets"), ("patch", "clientcertificates/status")]

    count = len(running.requests.writes)
    metadata = {"metadata": {"annotations": {"note": "look again"}}}
    await world.api.merge_patch(SECRETS.item(SYSTEM, "step-ca"), metadata)
    await asyncio.sleep(1)
    assert running.requests.writes[count:] == []
