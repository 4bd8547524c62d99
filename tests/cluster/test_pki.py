import datetime as dt
import subprocess
from pathlib import Path

import pytest

from clusterlib.pki import AUTHORITIES, create_pki

NOW = dt.datetime.now(dt.UTC)


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    create_pki(folder, NOW)
    return folder


def openssl(*arguments: str | Path) -> str:
    return subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("authority", "name"), [(authority, name) for authority, leaves in AUTHORITIES.items() for name in leaves]
)
def test_openssl_verifies_every_certificate_against_its_authority(pki: Path, authority: str, name: str) -> None:
    openssl("verify", "-x509_strict", "-CAfile", pki / f"{authority}.crt", pki / f"{name}.crt")


def test_no_other_authority_vouches_for_the_front_proxy(pki: Path) -> None:
    with pytest.raises(subprocess.CalledProcessError):
        openssl("verify", "-CAfile", pki / "ca.crt", pki / "front-proxy-client.crt")


def test_the_api_server_is_known_by_its_loopback_address(pki: Path) -> None:
    text = openssl("x509", "-in", pki / "apiserver.crt", "-noout", "-ext", "subjectAltName")
    assert "IP Address:127.0.0.1" in text
    assert "DNS:kubernetes.default.svc" in text


def test_the_administrator_is_of_the_group_that_may_do_everything(pki: Path) -> None:
    subject = openssl("x509", "-in", pki / "admin.crt", "-noout", "-subject", "-nameopt", "RFC2253")
    assert subject.strip() == "subject=CN=kubernetes-admin,O=system:masters"


def test_every_key_is_private(pki: Path) -> None:
    assert {path.stat().st_mode & 0o777 for path in pki.glob("*.key")} == {0o600}
