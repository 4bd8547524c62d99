"""The demo, run as a person runs it."""

import json
import os
import re
import signal
import stat
import subprocess
from pathlib import Path

import pytest

from builders.nginx import nginx_program
from clusterlib.paths import ClusterDir
from clusterlib.session import unique_name
from demolib.place import Place

from .conftest import PATIENT, KeptDemo, clean_environment, demo_command

pytestmark = pytest.mark.cluster


def _processes_naming(folder: Path) -> str:
    return subprocess.run(["pgrep", "-af", str(folder)], capture_output=True, text=True, check=False).stdout


def _assert_nothing_left(name: str, folder: Path) -> None:
    assert _processes_naming(folder) == ""
    assert not ClusterDir.of(name).root.exists()
    assert not Place(name, folder).record.exists()


def test_every_step_comes_out_as_expected(kept_demo: KeptDemo) -> None:
    lines = kept_demo.transcript.splitlines()
    assert not [line for line in lines if line.startswith("FAILED")]
    # One mark a command, three for the summary, and nothing without a mark.
    commands = sum(line.startswith("$ ") for line in lines)
    assert sum(line.startswith("ok ") for line in lines) == commands + 3
    assert commands > 25


def test_it_says_how_long_people_wait(kept_demo: KeptDemo) -> None:
    for what in ("from `kubectl apply` to a token", "from the deletion of the Secret to a token"):
        assert re.search(rf"^ok +{re.escape(what)}.*: [0-9]+\.[0-9]{{2}} s$", kept_demo.transcript, re.MULTILINE)


@pytest.mark.parametrize("reason", ["no_certificate", "wrong_name", "expired_certificate"])
def test_who_may_not_is_refused_in_oauth_words(kept_demo: KeptDemo, reason: str) -> None:
    assert f"refused: 401 invalid_client; the audit log knows why: {reason}" in kept_demo.transcript


def test_a_ca_of_the_same_name_is_refused_in_the_handshake(kept_demo: KeptDemo) -> None:
    assert "refused: the TLS handshake fails" in kept_demo.transcript
    names = kept_demo.bash(
        "for one in billing forged; do openssl x509 -in $one/tls.crt -noout -issuer; done | sort -u | wc -l",
        cwd=kept_demo.folder,
    )
    # billing's intermediate is not replaced while the demo runs, so both still name the same one.
    assert names.stdout.strip() == "1"


def test_the_token_that_it_shows_is_the_one_that_the_certificate_got(kept_demo: KeptDemo) -> None:
    token = json.loads((kept_demo.folder / "token.json").read_text())["access_token"]
    assert token in kept_demo.transcript


def test_no_private_key_is_shown_and_no_file_is_open_to_others(kept_demo: KeptDemo) -> None:
    assert "PRIVATE KEY" not in kept_demo.transcript
    assert stat.S_IMODE(kept_demo.folder.stat().st_mode) == 0o700
    files = [path for path in kept_demo.folder.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"operator.kubeconfig", "issuer.kubeconfig", "tls.key"}
    assert [path for path in files if stat.S_IMODE(path.stat().st_mode) & 0o077] == []
    # The authority's key was needed for a moment, to sign an expired certificate.
    assert not (kept_demo.folder / "expired" / "authority-tls.key").exists()


def test_operator_and_issuer_have_no_more_than_their_own_rights(kept_demo: KeptDemo) -> None:
    question = "auth can-i -n mintls-system get secret/mintls-authority-default-root"
    answer = kept_demo.bash(
        f"for part in operator issuer; do kubectl --kubeconfig $part.kubeconfig {question} || true; done",
        cwd=kept_demo.folder,
    )
    assert answer.stdout.split() == ["yes", "no"]


def test_what_is_kept_answers_whoever_sources_env(kept_demo: KeptDemo, tmp_path: Path) -> None:
    answer = kept_demo.bash(
        'curl -sS --cacert "$CA_FILE" "$ISSUER_URL/.well-known/openid-configuration"\n'
        'kubectl config view --minify -o jsonpath="{.clusters[0].cluster.server}"',
        cwd=tmp_path,
    )
    assert answer.returncode == 0
    assert '"issuer"' in answer.stdout
    assert "https://127.0.0.1:" in answer.stdout


def test_a_second_demo_does_not_take_away_a_kept_one(kept_demo: KeptDemo) -> None:
    again = subprocess.run(
        demo_command("up", kept_demo.name, kept_demo.folder),
        env=kept_demo.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert again.returncode == 1
    assert "`make demo-down` ends it" in again.stdout
    assert kept_demo.bash("kubectl version >/dev/null", cwd=kept_demo.folder).returncode == 0


@pytest.mark.usefixtures("_own_cluster")
def test_a_step_that_fails_makes_the_demo_fail_and_nothing_runs_on(tmp_path: Path) -> None:
    name, folder = unique_name("demo"), tmp_path / "demo"
    shown = subprocess.run(
        demo_command("up", name, folder, "--token-within", "0"),
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1500,
        check=False,
    )
    assert shown.returncode == 1
    assert "FAILED  the token took" in shown.stdout
    assert shown.stdout.splitlines()[-1].startswith("FAILED  hack/demo: A token, for whoever")
    assert f"The end of {folder}/operator.log" in shown.stdout
    _assert_nothing_left(name, folder)
    assert (folder / "issuer.log").exists()


@pytest.mark.usefixtures("_own_cluster")
def test_ctrl_c_ends_all_that_was_started(tmp_path: Path) -> None:
    name, folder = unique_name("demo"), tmp_path / "demo"
    with subprocess.Popen(
        demo_command("up", name, folder, "--keep"),
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if line.startswith("$ curl -fsS"):
                break
        assert "mintls operator" in _processes_naming(folder)
        os.kill(demo.pid, signal.SIGINT)
        rest = demo.stdout.read()
    assert demo.returncode == 130
    assert "interrupted; what had been started is ended" in rest
    _assert_nothing_left(name, folder)
    assert not folder.exists()


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    refused = subprocess.run(
        demo_command("up", unique_name("demo"), tmp_path),
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == 1
    assert "name another folder" in refused.stdout
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.mark.usefixtures("_own_cluster")
def test_the_tour_goes_through_the_examples_and_says_what_it_leaves_out(tmp_path: Path) -> None:
    name, folder = unique_name("demo"), tmp_path / "demo"
    shown = subprocess.run(
        demo_command("up", name, folder, "--tour", *PATIENT),
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=1500,
        check=False,
    )
    assert shown.returncode == 0, shown.stdout
    said = shown.stdout.partition("== The tour")[2]
    for what in (
        "# Rotation: the next certificate stands beside the first for a while.",
        "# What it hands on in Client-Cert counts",
        "# A client without a certificate: it signs an assertion for each request.",
        "# DPoP: a token that is bound to a key of the client",
        "tour:registered-",
        '{"active":false}',
    ):
        assert what in said, what
    nginx = "client=tour:billing scope=orders.read" if nginx_program() else "left out: nginx is not installed"
    assert nginx in said
    assert said.count("each answer was the expected one") == (4 if nginx_program() else 3)
    _assert_nothing_left(name, folder)
