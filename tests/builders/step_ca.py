"""A real step-ca with a PKI of its own and one JWK provisioner, configured as `step ca init` does it."""

import asyncio
import contextlib
import json
import os
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwe, jwk

from builders.world import eventually, free_port
from mintls.core.pki.certificate import encode_pem
from mintls.core.pki.keys import encode_private_key
from mintls.core.pki.profiles import IntermediateProfile, RootProfile, serial_number
from mintls.core.pki.signing import CertificateAuthorityKey, sign_intermediate, sign_root

PROVISIONER = "mintls"
PASSWORD = "correct horse battery staple"


def _serial() -> int:
    return serial_number(os.urandom(20))


@dataclass(frozen=True)
class Provisioner:
    """A JWK provisioner: its private key as JWK, and as step-ca hands it out."""

    jwk: str
    public: dict[str, Any]
    encrypted: str


def make_provisioner(password: str = PASSWORD) -> Provisioner:
    """A new key, encrypted as step does it: PBES2-HS256+A128KW and A256GCM."""
    key = jwk.ECKey.generate_key("P-256", auto_kid=True)
    private = json.dumps(key.as_dict(private=True))
    registry = jwe.JWERegistry(algorithms=["PBES2-HS256+A128KW", "A256GCM"])
    header = {"alg": "PBES2-HS256+A128KW", "enc": "A256GCM", "cty": "jwk+json", "p2c": 10_000}
    encrypted = jwe.encrypt_compact(header, private, jwk.OctKey.import_key(password), registry=registry)
    return Provisioner(private, dict(key.as_dict(private=False)), encrypted)


@dataclass
class StepCA:
    """One of it, in a folder.

    Attributes:
        program: The program.
        folder: Its configuration, keys and database.
        port: Where it listens.
        root: Its root in PEM.
        provisioner: Its provisioner.
        listen: The address that it listens on.
        names: The names that it is reached by.
        place: Where the folder is for the program, if that is elsewhere; then it has no database.
    """

    program: Path
    folder: Path
    port: int
    root: str
    provisioner: Provisioner
    listen: str = "127.0.0.1"
    names: tuple[str, ...] = ("localhost", "127.0.0.1")
    place: str = ""
    process: asyncio.subprocess.Process | None = None

    @classmethod
    def make(cls, program: Path, folder: Path, *, port: int = 0) -> "StepCA":
        """Make its PKI and write its configuration."""
        folder.mkdir(parents=True)
        made = cls(program, folder, port or free_port(), make_pki(folder), make_provisioner())
        made.configure()
        return made

    @classmethod
    def make_for_pod(cls, program: Path, folder: Path, name: str, place: str) -> "StepCA":
        """The same for a pod that mounts the folder at *place* and is reached by *name*."""
        folder.mkdir(parents=True)
        made = cls(program, folder, 9000, make_pki(folder), make_provisioner(), "", (name,), place)
        made.configure()
        return made

    @property
    def url(self) -> str:
        return f"https://{self.names[0]}:{self.port}"

    def spec(self, **external: Any) -> dict[str, Any]:
        """``spec`` of a CertificateAuthority that asks it."""
        source = {"url": self.url, "provisioner": {"name": PROVISIONER, "secretRef": {"name": "step-ca"}}}
        return {"external": {"caBundle": self.root, "stepCA": source, **external}}

    def configure(self, **provisioner: Any) -> None:
        """Write ``ca.json``."""
        entry = {
            "type": "JWK",
            "name": PROVISIONER,
            "key": self.provisioner.public,
            "encryptedKey": self.provisioner.encrypted,
            **provisioner,
        }
        place = self.place or str(self.folder)
        config = {
            "root": f"{place}/root.crt",
            "crt": f"{place}/intermediate.crt",
            "key": f"{place}/intermediate.key",
            "address": f"{self.listen}:{self.port}",
            "dnsNames": list(self.names),
            "logger": {"format": "text"},
            "authority": {"provisioners": [entry]},
        }
        if not self.place:
            config["db"] = {"type": "badgerv2", "dataSource": str(self.folder / "db")}
        (self.folder / "ca.json").write_text(json.dumps(config))

    async def start(self) -> None:
        """Start it, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                self.program, self.folder / "ca.json", stdout=log, stderr=log, env={"HOME": str(self.folder)}
            )
        host = self.names[-1]

        async def answers() -> bool:
            if self.process is None or self.process.returncode is not None:
                raise AssertionError((self.folder / "log").read_text())
            command = ["curl", "-sf", "--cacert", str(self.folder / "root.crt"), f"https://{host}:{self.port}/health"]
            done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=False)
            return done.returncode == 0

        await eventually(answers, every=0.1)

    async def stop(self) -> None:
        """End it."""
        process, self.process = self.process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            await process.wait()

    def log(self) -> str:
        return (self.folder / "log").read_text()


def make_pki(folder: Path) -> str:
    """Root and intermediate in a folder; the root in PEM."""
    now = datetime.now(UTC) - timedelta(minutes=5)
    key, below = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    end = now + timedelta(days=30)
    root = sign_root(RootProfile("Example Root", now, end), key, _serial())
    profile = IntermediateProfile("Example Intermediate", now, end)
    intermediate = sign_intermediate(profile, below.public_key(), CertificateAuthorityKey(root, key), _serial())
    (folder / "root.crt").write_bytes(encode_pem(root))
    (folder / "intermediate.crt").write_bytes(encode_pem(intermediate))
    (folder / "intermediate.key").write_bytes(encode_private_key(below))
    return encode_pem(root).decode()


def leaf_of(files: dict[str, bytes]) -> x509.Certificate:
    return x509.load_pem_x509_certificate(files["tls.crt"])
