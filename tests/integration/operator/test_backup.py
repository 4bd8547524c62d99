"""docs/backup.md is true: its blocks, run with kubectl and openssl in its order, bring an authority back."""

import asyncio
import os
import re
from pathlib import Path

import pytest

from builders.world import REPOSITORY, SYSTEM, World, eventually
from mintls.kube.errors import NotFound
from mintls.kube.paths import CERTIFICATE_AUTHORITIES, CLIENT_CERTIFICATES, SECRETS

pytestmark = pytest.mark.cluster

ROOT, INTERMEDIATE = "mintls-authority-default-root", "mintls-authority-default-intermediate"
PAGE = REPOSITORY / "docs" / "backup.md"


class Page:
    """The blocks of the page, each run in the same folder."""

    def __init__(self, world: World, folder: Path) -> None:
        self._environment = world.cluster.environment()
        tools = world.cluster.kubectl_path.parent
        self._environment["PATH"] = f"{tools}{os.pathsep}{self._environment['PATH']}"
        self._folder = folder
        self._blocks = iter(re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL))

    async def next(self) -> str:
        """Run the next block; what it wrote to stdout."""
        process = await asyncio.create_subprocess_exec(
            "bash",
            "-euo",
            "pipefail",
            "-c",
            next(self._blocks),
            cwd=self._folder,
            env=self._environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
        assert process.returncode == 0, err.decode()
        return out.decode()

    def ended(self) -> bool:
        return next(self._blocks, None) is None


async def fingerprint(world: World) -> str:
    """Of the root key of a ready authority."""
    authority = await world.ready(CERTIFICATE_AUTHORITIES, None, "default")
    found: str = authority["status"]["keys"][0]["fingerprint"]
    return found


async def warnings(world: World) -> int:
    """How many warning events say of this very authority that its key is lost."""
    uid = (await world.get(CERTIFICATE_AUTHORITIES, None, "default"))["metadata"]["uid"]
    chosen = f"involvedObject.uid={uid},reason=KeyLost,type=Warning"
    found = await asyncio.to_thread(
        world.cluster.kubectl, "get", "events", "-A", "-o", "name", "--field-selector", chosen
    )
    return len(found.split())


async def test_the_page_brings_an_authority_back(world: World, tmp_path: Path) -> None:
    page = Page(world, tmp_path)
    await world.authority()
    operator = await world.operator()
    shop = await world.namespace()
    await world.client(shop)
    await world.certificate(shop)
    issued = await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    first = await fingerprint(world)

    # Back up.
    await page.next()
    assert (tmp_path / "root.yaml").stat().st_mode & 0o077 == 0
    in_backup, in_status = (await page.next()).split("subject=")[1:]
    assert in_backup == in_status != ""

    # The Secret is gone.
    await world.api.delete(SECRETS.item(SYSTEM, ROOT))
    await world.reason(CERTIFICATE_AUTHORITIES, None, "default", "KeyLost")
    await world.client(shop, "late")
    await world.certificate(shop, "late")
    await world.reason(CLIENT_CERTIFICATES, shop, "late", "AuthorityNotReady")
    await eventually(lambda: warnings(world), expected="a warning event")
    told = await page.next()
    assert f'Secret "{ROOT}" in namespace {SYSTEM}' in told
    assert "Restore the Secret from a backup" in told
    assert "Warning   KeyLost" in told
    assert await warnings(world) == 1, "once, however often it is looked at"
    with pytest.raises(NotFound):
        await world.get(SECRETS, SYSTEM, ROOT)
    await page.next()
    assert await fingerprint(world) == first
    await world.ready(CLIENT_CERTIFICATES, shop, "late")

    # The Secret holds another key.
    await world.authority("other")
    await world.ready(CERTIFICATE_AUTHORITIES, None, "other")
    other = await world.get(SECRETS, SYSTEM, "mintls-authority-other-root")
    await world.api.merge_patch(SECRETS.item(SYSTEM, ROOT), {"data": other["data"]})
    await world.reason(CERTIFICATE_AUTHORITIES, None, "default", "KeyReplaced")
    await page.next()
    assert await fingerprint(world) == first

    # All of it is gone.
    await operator.end()
    await world.api.delete(CERTIFICATE_AUTHORITIES.item(None, "default"))
    for name in (ROOT, INTERMEDIATE):
        await world.api.delete(SECRETS.item(SYSTEM, name))
    await page.next()
    await world.operator("operator-1", create_authority=True)
    await page.next()
    assert await fingerprint(world) == first
    again = await world.get(CLIENT_CERTIFICATES, shop, "billing")
    assert again["status"]["serialNumber"] == issued["status"]["serialNumber"], "what was issued stays good"

    # There is no backup.
    await world.api.delete(SECRETS.item(SYSTEM, ROOT))
    await world.reason(CERTIFICATE_AUTHORITIES, None, "default", "KeyLost")
    await page.next()
    assert await fingerprint(world) != first
    assert page.ended()

    async def reissued() -> bool:
        now = await world.get(CLIENT_CERTIFICATES, shop, "billing")
        return bool(now["status"]["serialNumber"] != issued["status"]["serialNumber"])

    await eventually(reissued)


async def test_an_authority_made_again_beside_its_old_intermediate_waits_for_its_root(world: World) -> None:
    """Deleted and applied again by a GitOps tool, its status is gone; what it signed still trusts the lost root."""
    await world.authority()
    await world.operator()
    first = await fingerprint(world)
    backup = await world.get(SECRETS, SYSTEM, ROOT)

    await world.api.delete(CERTIFICATE_AUTHORITIES.item(None, "default"))
    await world.api.delete(SECRETS.item(SYSTEM, ROOT))
    await world.authority()

    lost = await world.reason(CERTIFICATE_AUTHORITIES, None, "default", "KeyLost")
    assert INTERMEDIATE in lost["message"]
    metadata = {key: backup["metadata"][key] for key in ("name", "namespace", "labels")}
    await world.api.create(SECRETS.collection(SYSTEM), {**backup, "metadata": metadata})
    assert await fingerprint(world) == first
