"""OpenBao, which has Vault's API: a server with TLS, a CA in its PKI secrets engine, and ways to log in."""

import asyncio
import base64
import contextlib
import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from builders.world import SYSTEM, World, eventually, free_port

ROOT_TOKEN = "root-of-the-test"
POLICY = 'path "pki_int/sign/mintls" { capabilities = ["update"] }'
ROLE: dict[str, Any] = {
    "allow_any_name": True,
    "enforce_hostnames": False,
    "cn_validations": ["disabled"],
    "use_csr_common_name": False,
    "use_csr_sans": False,
    "allowed_uri_sans": ["spiffe://cluster.local/*"],
    "server_flag": False,
    "key_type": "any",
    "max_ttl": "168h",
    "no_store": True,
}

type Object = dict[str, Any]


@dataclass
class OpenBao:
    """One of it, in memory.

    Attributes:
        program: The program.
        folder: Its certificate and its log.
        port: Where it listens.
    """

    program: Path
    folder: Path
    port: int
    process: asyncio.subprocess.Process | None = None

    @classmethod
    def make(cls, program: Path, folder: Path) -> "OpenBao":
        folder.mkdir(parents=True)
        return cls(program, folder, free_port())

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def ca_file(self) -> Path:
        """The CA of its own certificate."""
        return self.folder / "vault-ca.pem"

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        listener = (f"-dev-listen-address=127.0.0.1:{self.port}", "-dev-tls", f"-dev-tls-cert-dir={self.folder}")
        token = (f"-dev-root-token-id={ROOT_TOKEN}", "-dev-no-store-token")
        with (self.folder / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                self.program,
                "server",
                "-dev",
                *listener,
                *token,
                stdout=log,
                stderr=log,
                env={"HOME": str(self.folder)},
            )

        async def answers() -> bool:
            if self.process is None or self.process.returncode is not None:
                raise AssertionError((self.folder / "log").read_text())
            command = ["curl", "-sf", "--cacert", str(self.ca_file), f"{self.url}/v1/sys/health"]
            done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
            return done.returncode == 0

        await eventually(answers, every=0.1)

    async def stop(self) -> None:
        """End it; with it ends all that it knew."""
        process, self.process = self.process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()

    def unseal_key(self) -> str:
        """What unseals it, as it writes at its start."""
        [found] = re.findall(r"^Unseal Key: (\S+)", (self.folder / "log").read_text(), re.MULTILINE)
        return str(found)

    async def ask(self, path: str, **body: Any) -> Object:
        """POST something, as somebody else than the operator."""
        command = [
            "curl",
            "-sS",
            "--fail-with-body",
            "--cacert",
            str(self.ca_file),
            "-H",
            f"X-Vault-Token: {ROOT_TOKEN}",
        ]
        command += ["-d", json.dumps(body), f"{self.url}/v1/{path}"]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{path}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout) if done.stdout else {}

    async def make_ca(self, **role: Any) -> str:
        """A root, an intermediate below it, and a role that signs by that; the root in PEM."""
        for mount in ("pki", "pki_int"):
            await self.ask(f"sys/mounts/{mount}", type="pki", config={"max_lease_ttl": "87600h"})
        key = {"key_type": "ec", "key_bits": 256}
        made = await self.ask("pki/root/generate/internal", common_name="Corporate Root", ttl="87600h", **key)
        root = made["data"]["certificate"]
        asked = await self.ask("pki_int/intermediate/generate/internal", common_name="Corporate Intermediate", **key)
        signed = await self.ask(
            "pki/root/sign-intermediate", csr=asked["data"]["csr"], ttl="8760h", format="pem_bundle"
        )
        await self.ask("pki_int/intermediate/set-signed", certificate=signed["data"]["certificate"])
        await self.ask("pki_int/roles/mintls", **(ROLE | role))
        await self.ask("sys/policies/acl/mintls", policy=POLICY)
        return f"{root}\n"

    async def make_token(self, policy: str = "mintls") -> str:
        made = await self.ask("auth/token/create", policies=[policy], no_parent=True)
        return str(made["auth"]["client_token"])

    async def know_service_accounts(self, world: World) -> None:
        """Its Kubernetes auth method asks the API server of the test about tokens."""
        kubectl = world.cluster.kubectl
        config = json.loads(kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))["clusters"][0]
        binding = ("clusterrolebinding", "reviewer", "--clusterrole=system:auth-delegator")
        kubectl("-n", SYSTEM, "create", "serviceaccount", "reviewer")
        kubectl("create", *binding, f"--serviceaccount={SYSTEM}:reviewer")
        reviewer = kubectl("-n", SYSTEM, "create", "token", "reviewer").strip()
        await self.ask("sys/auth/kubernetes", type="kubernetes")
        await self.ask(
            "auth/kubernetes/config",
            kubernetes_host=config["cluster"]["server"],
            kubernetes_ca_cert=pem(config["cluster"]["certificate-authority-data"]),
            token_reviewer_jwt=reviewer,
        )
        await self.ask(
            "auth/kubernetes/role/mintls",
            bound_service_account_names=["mintls-operator"],
            bound_service_account_namespaces=[SYSTEM],
            audience="vault",
            token_policies=["mintls"],
            token_ttl="1h",
        )

    def spec(self, root: str, **auth: Any) -> Object:
        """``spec`` of a CertificateAuthority that asks it."""
        vault = {"url": self.url, "mount": "pki_int", "role": "mintls", "caBundle": self.ca_file.read_text()}
        auth = auth or {"tokenSecretRef": {"name": "vault"}}
        return {"external": {"caBundle": root, "vault": vault | {"auth": auth}}}


def forget_reviewer(world: World) -> None:
    """Take back what ``know_service_accounts`` gave in the cluster."""
    world.cluster.kubectl("delete", "clusterrolebinding", "reviewer")
    world.cluster.kubectl("-n", SYSTEM, "delete", "serviceaccount", "reviewer")


def pem(data: str) -> str:
    return base64.b64decode(data).decode()
