"""A CA of one's own, made by openssl and kept in a Secret of the operator's namespace."""

import asyncio
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from builders.world import REPOSITORY, SYSTEM, World, eventually
from integration.operator.test_token import token
from mintls.kube.errors import NotFound
from mintls.kube.paths import CERTIFICATE_AUTHORITIES, CLIENT_CERTIFICATES, CONFIGMAPS, OAUTH_CLIENTS, SECRETS

pytestmark = pytest.mark.cluster

LABEL = {"mintls.dev/authority": "corporate"}

MAKE = """
set -e
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj "/O=Corporate/CN=Root" \
  -addext keyUsage=critical,keyCertSign,cRLSign -keyout root.key -out root.crt 2>/dev/null
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-384 -nodes -subj "/O=Corporate/CN=Issuing" \
  -keyout ca.key -out ca.csr 2>/dev/null
cat >ext <<END
basicConstraints=critical,CA:TRUE,pathlen:0
keyUsage=critical,keyCertSign,cRLSign
subjectKeyIdentifier=hash
END
openssl x509 -req -in ca.csr -CA root.crt -CAkey root.key -CAcreateserial -days 20 -extfile ext -out ca.crt 2>/dev/null
"""


async def make(folder: Path, script: str = MAKE) -> dict[str, str]:
    """An offline root, and an intermediate below it: what goes into the Secret."""
    command = ["bash", "-c", f"mkdir -p {folder} && cd {folder} {script}"]
    await asyncio.to_thread(subprocess.run, command, check=True)
    files = {"tls.crt": "ca.crt", "tls.key": "ca.key", "ca.crt": "root.crt"}
    return {name: (folder / path).read_text() for name, path in files.items()}


async def put(world: World, data: dict[str, str], **metadata: Any) -> None:
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "corporate-ca", **metadata}, "stringData": data}
    await world.api.create(SECRETS.collection(SYSTEM), body)


async def change(world: World, data: dict[str, str]) -> str:
    item = await world.api.merge_patch(SECRETS.item(SYSTEM, "corporate-ca"), {"stringData": data})
    return str(item["metadata"]["resourceVersion"])


@pytest.fixture
async def shop(world: World) -> str:
    """A client that is vouched for by the corporate CA alone; the issuer has its own."""
    await world.authority()
    await world.authority("corporate", secretRef={"name": "corporate-ca"})
    await world.operator()
    await world.issuer()
    name = await world.namespace()
    await world.client(name, authorities=[{"name": "corporate"}])
    await world.certificate(name, authorityRef={"name": "corporate"})
    return name


async def issued(world: World, shop: str) -> dict[str, bytes]:
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    await world.ready(OAUTH_CLIENTS, shop, "billing")
    return await world.secret(shop)


def issuer(files: dict[str, bytes]) -> bytes:
    """The key that signed the leaf, by its identifier."""
    leaf = x509.load_pem_x509_certificate(files["tls.crt"])
    return leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier or b""


async def test_it_signs_and_a_change_is_taken_up_without_a_client_being_refused(
    world: World, shop: str, tmp_path: Path
) -> None:
    waits = await world.reason(CERTIFICATE_AUTHORITIES, None, "corporate", "SecretMissing")
    assert f"there is no Secret {SYSTEM}/corporate-ca" in waits["message"]

    first = await make(tmp_path / "first")
    await put(world, first, labels=LABEL)
    before = await issued(world, shop)
    assert (await token(tmp_path, before))[0] == 200
    for name, content in before.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "root.crt").write_text(first["ca.crt"])
    verify = "openssl verify -x509_strict -purpose sslclient -CAfile root.crt -untrusted tls.crt tls.crt"
    done = await asyncio.to_thread(subprocess.run, verify.split(), cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr

    second = await make(tmp_path / "second")
    version = await change(world, second)

    async def reissued() -> bool:
        return issuer(await world.secret(shop)) != issuer(before)

    await eventually(reissued)
    after = await issued(world, shop)
    assert (await token(tmp_path, after))[0] == 200
    old = before | {"ca.crt": after["ca.crt"]}
    assert (await token(tmp_path, old))[0] == 200, "the root before is trusted until its last leaf has ended"
    status = (await world.get(CERTIFICATE_AUTHORITIES, None, "corporate"))["status"]
    assert [key["role"] for key in status["keys"]] == ["active", "retiring"]
    assert after["ca.crt"].count(b"BEGIN") == 3, "both corporate roots, and the issuer's"
    kept = await world.get(SECRETS, SYSTEM, "corporate-ca")
    assert kept["metadata"]["resourceVersion"] == version, "it is read and never written"


async def test_a_ca_that_cannot_sign_is_told_and_what_was_issued_stays_good(
    world: World, shop: str, tmp_path: Path
) -> None:
    good = await make(tmp_path / "good")
    await put(world, good, labels=LABEL)
    files = await issued(world, shop)

    await change(world, {"tls.key": (await make(tmp_path / "other"))["tls.key"]})
    told = await world.reason(CERTIFICATE_AUTHORITIES, None, "corporate", "KeyBroken")
    assert f"Secret {SYSTEM}/corporate-ca cannot be used: tls.key is not the key of the certificate" in told["message"]
    assert (await token(tmp_path, files))[0] == 200
    await world.client(shop, "late")
    await world.certificate(shop, "late", authorityRef={"name": "corporate"})
    late = await world.reason(CLIENT_CERTIFICATES, shop, "late", "AuthorityNotReady")
    assert "tls.key is not the key" in late["message"]

    await change(world, good)
    await world.ready(CLIENT_CERTIFICATES, shop, "late")


async def test_two_cas_of_one_name_do_not_stand_in_for_each_other(world: World, shop: str, tmp_path: Path) -> None:
    """The other one signs for the same client, with the same names, and is an authority here, too."""
    await put(world, await make(tmp_path / "mine"), labels=LABEL)
    await issued(world, shop)
    impostor = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "impostor-ca"}}
    await world.api.create(SECRETS.collection(SYSTEM), impostor | {"stringData": await make(tmp_path / "theirs")})
    await world.authority("impostor", secretRef={"name": "impostor-ca"})
    spec = {"clientRef": {"name": "billing"}, "secretName": "forged", "authorityRef": {"name": "impostor"}}
    body = {"apiVersion": CLIENT_CERTIFICATES.api_version, "kind": "ClientCertificate", "spec": spec}
    await world.api.create(CLIENT_CERTIFICATES.collection(shop), body | {"metadata": {"name": "forged"}})
    await world.ready(CLIENT_CERTIFICATES, shop, "forged")
    real, forged = await world.secret(shop), await world.secret(shop, "forged")
    names = [x509.load_pem_x509_certificates(files["tls.crt"])[1].subject for files in (real, forged)]
    assert names[0] == names[1]
    assert (await token(tmp_path, forged))[0] == 401
    assert (await token(tmp_path, real))[0] == 200


async def test_its_crl_is_signed_by_it_and_another_key_leaves_the_last_list_of_it(
    world: World, shop: str, tmp_path: Path
) -> None:
    await put(world, await make(tmp_path / "one"), labels=LABEL)
    files = await issued(world, shop)
    for name in ("ca.crt", "tls.crt"):
        (tmp_path / name).write_bytes(files[name])

    async def verified() -> bytes:
        lists = (await world.api.get(CONFIGMAPS.item(SYSTEM, "mintls-crl-corporate")))["data"]["crl.pem"]
        (tmp_path / "crl.pem").write_text(lists)
        command = ["openssl", "verify", "-crl_check", "-CAfile", "ca.crt", "-CRLfile", "crl.pem"]
        command += ["-untrusted", "tls.crt", "tls.crt"]
        done = await asyncio.to_thread(subprocess.run, command, cwd=tmp_path, capture_output=True, check=False)
        return bytes(done.stdout + done.stderr)

    assert await eventually(verified) == b"tls.crt: OK\n"
    await world.api.delete(CLIENT_CERTIFICATES.item(shop, "billing"))

    async def revoked() -> bool:
        return b"certificate revoked" in await verified()

    await eventually(revoked, within=5)
    await change(world, await make(tmp_path / "two"))

    async def both() -> bool:
        await verified()
        return (tmp_path / "crl.pem").read_text().count("BEGIN") == 2

    await eventually(both)
    assert await revoked()


async def test_a_ca_that_may_sign_no_crl_has_none(world: World, shop: str, tmp_path: Path) -> None:
    script = MAKE.replace("keyCertSign,cRLSign\nsubject", "keyCertSign\nsubject")
    await put(world, await make(tmp_path, script), labels=LABEL)
    await issued(world, shop)
    await asyncio.sleep(1)
    with pytest.raises(NotFound):
        await world.api.get(CONFIGMAPS.item(SYSTEM, "mintls-crl-corporate"))


async def test_the_commands_of_the_page_make_an_authority_with_an_offline_root(world: World, tmp_path: Path) -> None:
    await world.authority()
    await world.operator()
    page = (REPOSITORY / "docs" / "own-ca.md").read_text()
    [block] = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    environment = world.cluster.environment()
    environment["PATH"] = f"{world.cluster.kubectl_path.parent}{os.pathsep}{environment['PATH']}"
    command = ["bash", "-euo", "pipefail", "-c", block]
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    status = (await world.get(CERTIFICATE_AUTHORITIES, None, "corporate"))["status"]
    assert status["keys"][0]["certificate"] == (tmp_path / "root.crt").read_text()
