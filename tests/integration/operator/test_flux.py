"""Flux's own controllers take the quickstart from a git repository, wait for it, and find nothing to put right."""

import asyncio
import contextlib
import http.server
import os
import re
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from builders.world import REPOSITORY, Object, World, condition, eventually, free_port
from clusterlib.errors import KubectlError
from clusterlib.flux import CONTROLLERS, Flux, ensure_flux
from clusterlib.gitops import argocd_kinds
from clusterlib.progress import Progress
from clusterlib.pytest_plugin import uncaptured
from mintls.kube.paths import CLIENT_CERTIFICATES, OAUTH_CLIENTS, Resource

pytestmark = pytest.mark.cluster

PAGE = REPOSITORY / "docs" / "gitops.md"

REPOSITORIES = Resource("source.toolkit.fluxcd.io", "v1", "gitrepositories", "GitRepository")
KUSTOMIZATIONS = Resource("kustomize.toolkit.fluxcd.io", "v1", "kustomizations", "Kustomization")


@pytest.fixture(scope="session")
def flux(pytestconfig: pytest.Config) -> Flux:
    with uncaptured(pytestconfig):
        return ensure_flux(Progress())


class GitHandler(http.server.BaseHTTPRequestHandler):
    """git's own server side (gitprotocol-http), as the CGI program that it is."""

    root: ClassVar[Path]

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        path, _, query = self.path.partition("?")
        environment = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        done = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = [line.partition(": ") for line in head.decode().split("\r\n")]
        status = next((value for name, _, value in fields if name == "Status"), "200 OK")
        self.send_response(int(status.split()[0]))
        for name, _, value in fields:
            if name != "Status":
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - http.server's name
        """Say nothing."""


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[str]:
    """The URL of a git repository with the quickstart in it."""
    work = tmp_path / "git" / "shop"
    work.mkdir(parents=True)
    (work / "quickstart.yaml").write_text((REPOSITORY / "docs" / "examples" / "quickstart.yaml").read_text())
    author = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (["init", "-q", "-b", "main"], ["add", "."], [*author, "commit", "-q", "-m", "quickstart"]):
        subprocess.run(["git", *command], cwd=work, check=True)
    GitHandler.root = work.parent
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), GitHandler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/shop/.git"
    server.shutdown()
    thread.join()
    server.server_close()


async def kubectl(world: World, *arguments: str, stdin: str = "") -> None:
    """In a thread: the operator, whose loop this is, has a lease to renew."""
    await asyncio.to_thread(world.cluster.kubectl, *arguments, stdin=stdin)


async def ended(process: asyncio.subprocess.Process) -> None:
    """End it; one that has ended by itself has said why in its log."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    await process.wait()


async def served(world: World, kinds: Path) -> None:
    """Wait until kinds are served; kubectl's own wait ends at once where a kind has no conditions yet."""

    async def established() -> bool:
        with contextlib.suppress(KubectlError):
            await kubectl(world, "wait", "--for=condition=Established", "--timeout=10s", "-f", str(kinds))
            return True
        return False

    await eventually(established, within=40)


@asynccontextmanager
async def controllers(world: World, flux: Flux, folder: Path) -> AsyncIterator[None]:
    """Both controllers as processes, with the rights of an administrator (Flux's own have them too)."""
    storage = free_port()
    own = {
        "source-controller": [
            *(f"--storage-path={folder}", f"--storage-addr=127.0.0.1:{storage}"),
            f"--storage-adv-addr=127.0.0.1:{storage}",
        ],
        "kustomize-controller": ["--requeue-dependency=1s"],
    }
    environment = {**os.environ, "KUBECONFIG": str(world.cluster.kubeconfig), "RUNTIME_NAMESPACE": "flux-system"}
    async with AsyncExitStack() as stack:
        for name in CONTROLLERS:
            kinds = ("-f", str(flux.kinds(name)))
            await kubectl(world, "apply", "--server-side", *kinds)
            # A controller that finds a kind of its own not served yet ends at once.
            await served(world, flux.kinds(name))
            log = stack.enter_context((folder.parent / f"{name}.log").open("wb"))
            process = await asyncio.create_subprocess_exec(
                flux.program(name),
                *own[name],
                *("--metrics-addr=127.0.0.1:0", f"--health-addr=127.0.0.1:{free_port()}", "--log-level=debug"),
                env=environment,
                stdout=log,
                stderr=log,
            )
            stack.push_async_callback(ended, process)
        yield


async def test_flux_waits_for_the_quickstart_and_finds_no_drift(
    world: World, flux: Flux, repository: str, tmp_path: Path
) -> None:
    (tmp_path / "artifacts").mkdir()
    await world.authority()
    await world.operator()
    await world.issuer()
    try:
        async with controllers(world, flux, tmp_path / "artifacts"):
            await kubectl(world, "apply", "-f", "-", stdin=objects(repository))

            first = await reconciled(world, within=90)

            for kind in (OAUTH_CLIENTS, CLIENT_CERTIFICATES):
                item = await world.get(kind, "shop", "billing")
                assert condition(item, "Ready")["status"] == "True", "Flux waited for it"
            before = [await world.get(kind, "shop", "billing") for kind in (OAUTH_CLIENTS, CLIENT_CERTIFICATES)]
            assert all(item["metadata"]["generation"] == 1 for item in before)

            await kubectl(
                world,
                *("-n", "flux-system", "annotate", "kustomization", "shop", "reconcile.fluxcd.io/requestedAt=now"),
            )

            async def again() -> bool:
                found = await world.get(KUSTOMIZATIONS, "flux-system", "shop")
                return bool(found["status"].get("lastHandledReconcileAt") == "now")

            await eventually(again, within=60)
            await reconciled(world, within=60)
            after = [await world.get(kind, "shop", "billing") for kind in (OAUTH_CLIENTS, CLIENT_CERTIFICATES)]
            assert [one["metadata"]["resourceVersion"] for one in after] == [
                one["metadata"]["resourceVersion"] for one in before
            ], "a second look of Flux changed an object, or the operator did"
            assert first["status"]["lastAppliedRevision"].startswith("main@sha1:")
    except AssertionError as error:
        logs = "\n".join((tmp_path / f"{name}.log").read_text()[-3000:] for name in CONTROLLERS)
        raise AssertionError(f"{error}\n{logs}") from error
    finally:
        await kubectl(world, "delete", "namespace", "shop", "--ignore-not-found", "--wait=false")
        finalizers = '{"metadata":{"finalizers":null}}'
        for singular in ("kustomization", "gitrepository"):
            named = ("-n", "flux-system", singular, "shop")
            with contextlib.suppress(KubectlError):
                await kubectl(world, "patch", *named, "--type=merge", "--patch", finalizers)
        await kubectl(world, "delete", "namespace", "flux-system", "--wait=false")


async def test_the_examples_in_the_documents_are_taken_by_the_kinds_that_they_are_of(world: World, flux: Flux) -> None:
    kinds = [*(flux.kinds(name) for name in CONTROLLERS), argocd_kinds(Progress()) / "application-crd.yaml"]
    for folder in kinds:
        await kubectl(world, "apply", "--server-side", "-f", str(folder))
        await served(world, folder)
    shown = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    examples = [one for block in shown for one in yaml.safe_load_all(block)]
    # The HelmRelease's controller, and with it the kind, is not to be had as a Go module.
    known = [one for one in examples if one["kind"] != "HelmRelease"]
    assert {one["kind"] for one in known} == {"Application", "GitRepository", "Kustomization"}
    namespace = await world.namespace()
    for one in known:
        one["metadata"]["namespace"] = namespace
    text = yaml.safe_dump_all(known)
    await kubectl(world, "apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-", stdin=text)


def objects(repository: str) -> str:
    """What docs/gitops.md shows for objects of one's own, with this repository."""
    meta = {"name": "shop", "namespace": "flux-system"}
    source = {"kind": "GitRepository", "name": "shop"}
    made: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "flux-system"}},
        {
            "apiVersion": REPOSITORIES.api_version,
            "kind": "GitRepository",
            "metadata": meta,
            "spec": {"interval": "10m", "url": repository, "ref": {"branch": "main"}},
        },
        {
            "apiVersion": KUSTOMIZATIONS.api_version,
            "kind": "Kustomization",
            "metadata": meta,
            "spec": {
                "interval": "10m",
                "path": "./",
                "prune": True,
                "wait": True,
                "timeout": "1m",
                "sourceRef": source,
            },
        },
    ]
    return yaml.safe_dump_all(made)


async def reconciled(world: World, *, within: float) -> Object:
    async def look() -> Object | None:
        found = await world.get(KUSTOMIZATIONS, "flux-system", "shop")
        # Flux writes the conditions first, and the rest of the status after them.
        done = condition(found, "Ready")["status"] == "True" and "lastAppliedRevision" in found["status"]
        return found if done else None

    return dict(await eventually(look, within=within))
