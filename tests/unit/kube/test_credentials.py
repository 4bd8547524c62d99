import asyncio
import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from builders.kube import ApiDouble, a_cluster_ca, ok, refusal
from mintls.kube import credentials
from mintls.kube.client import ApiClient
from mintls.kube.credentials import Credentials, load_credentials
from mintls.kube.errors import ConfigurationError


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A process without any configuration: neither environment, nor pod, nor home directory."""
    for name in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return home


def a_kubeconfig(file: Path, server: str = "http://127.0.0.1:1", **user: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    context = {"cluster": "c", "user": "u"}
    content = {
        "current-context": "here",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": user or {"token": "s3cret"}}],
        "contexts": [{"name": "here", "context": context}, {"name": "there", "context": context}],
    }
    file.write_text(yaml.safe_dump(content))
    return file


def aged(subject: Credentials, seconds: float) -> Credentials:
    subject._read_at -= seconds
    return subject


async def test_a_named_kubeconfig_wins_over_the_environment_and_that_over_home(
    tmp_path: Path, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_kubeconfig(nowhere / ".kube" / "config", "http://home")
    assert (await load_credentials()).server == "http://home"
    monkeypatch.setenv("KUBECONFIG", str(a_kubeconfig(tmp_path / "env", "http://env")))
    assert (await load_credentials()).server == "http://env"
    named = a_kubeconfig(tmp_path / "named", "http://named/")
    assert (await load_credentials(str(named))).server == "http://named"


async def test_several_kubeconfigs_are_merged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = a_kubeconfig(tmp_path / "first", "http://first")
    monkeypatch.setenv("KUBECONFIG", f"{tmp_path / 'missing'}:{first}")
    assert (await load_credentials()).server == "http://first"


async def test_the_service_account_of_a_pod_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = a_pod(tmp_path, monkeypatch)
    subject = await load_credentials(service_account=str(folder))
    assert subject.server == "https://10.0.0.1:443"
    assert await subject.authorization() == "Bearer first"
    assert subject.ssl_context is not None


async def test_the_namespace_is_the_contexts_or_the_pods_or_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = a_kubeconfig(tmp_path / "k")
    assert (await load_credentials(str(file))).namespace == "default"
    content = yaml.safe_load(file.read_text())
    content["contexts"][1]["context"] = {**content["contexts"][1]["context"], "namespace": "shop"}
    file.write_text(yaml.safe_dump(content))
    assert (await load_credentials(str(file), "there")).namespace == "shop"
    assert (await load_credentials(str(file))).namespace == "default"
    folder = a_pod(tmp_path, monkeypatch)
    (folder / "namespace").write_text("pods\n")
    assert (await load_credentials(service_account=str(folder))).namespace == "pods"


async def test_a_rotated_service_account_token_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = a_pod(tmp_path, monkeypatch)
    subject = await load_credentials(service_account=str(folder))
    (folder / "token").write_text("second\n")
    assert await subject.authorization() == "Bearer first"
    assert await aged(subject, credentials.REFRESH_SECONDS).authorization() == "Bearer second"


async def test_a_token_file_that_is_missing_for_a_moment_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = a_pod(tmp_path, monkeypatch)
    subject = await load_credentials(service_account=str(folder))
    (folder / "token").unlink()
    assert await aged(subject, credentials.REFRESH_SECONDS).authorization() == "Bearer first"
    assert "going on with the old" in caplog.text


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda folder, _: (folder / "token").write_text("\n"), r"token is empty"),
        (lambda folder, _: (folder / "ca.crt").unlink(), r"ca.crt cannot be read \(FileNotFoundError\)"),
        (lambda folder, _: (folder / "ca.crt").write_text("none"), r"ca.crt has no certificates in PEM"),
        (lambda _, patch: patch.delenv("KUBERNETES_SERVICE_PORT"), r"variable KUBERNETES_SERVICE_PORT is not set"),
    ],
    ids=["an empty token", "no CA", "no certificate", "no port"],
)
async def test_a_service_account_that_cannot_be_used_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Any, says: str
) -> None:
    folder = a_pod(tmp_path, monkeypatch)
    spoil(folder, monkeypatch)
    with pytest.raises(ConfigurationError, match=says):
        await load_credentials(service_account=str(folder))


async def test_an_address_of_ipv6_is_in_brackets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = a_pod(tmp_path, monkeypatch)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    assert (await load_credentials(service_account=str(folder))).server == "https://[fd00::1]:443"


def test_an_issuer_in_a_pod_does_without_the_library_that_reads_kubeconfigs() -> None:
    program = "import sys, mintls.issuer.run, mintls.cli.issuer; sys.exit('kubernetes' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def a_pod(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (folder / "token").write_text("first")
    (folder / "ca.crt").write_bytes(a_cluster_ca().pem)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    return folder


def an_exec_plugin(folder: Path, **status: Any) -> dict[str, Any]:
    """A user whose plugin counts its calls and answers with a token that names the call."""
    calls, script = folder / "calls", folder / "plugin"
    extra = json.dumps(status)[1:-1]
    answer = '{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential","status":{"token":"call-%s"%s}}'
    comma = f", {extra}" if extra else ""
    script.write_text(f"#!/bin/sh\necho x >> {calls}\nprintf '{answer}' $(wc -l < {calls}) '{comma}'\n")
    script.chmod(script.stat().st_mode | stat.S_IEXEC)
    plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(script), "interactiveMode": "Never"}
    return {"exec": plugin}


async def test_a_plugins_token_without_an_end_is_kept_until_it_is_refused(tmp_path: Path) -> None:
    subject = await load_credentials(str(a_kubeconfig(tmp_path / "k", **an_exec_plugin(tmp_path))))
    assert await subject.authorization() == "Bearer call-1"
    assert await aged(subject, 1000).authorization() == "Bearer call-1"
    await aged(subject, 10).renew()
    assert await subject.authorization() == "Bearer call-2"


# kubernetes.aio compares the plugin's expirationTimestamp with datetime.utcnow().
@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
async def test_a_plugins_token_is_fetched_again_when_it_ends(tmp_path: Path) -> None:
    user = an_exec_plugin(tmp_path, expirationTimestamp="2020-01-01T00:00:00Z")
    subject = await load_credentials(str(a_kubeconfig(tmp_path / "k", **user)))
    assert await subject.authorization() == "Bearer call-1"
    assert await aged(subject, 1000).authorization() == "Bearer call-2"


# kubernetes.aio compares the plugin's expirationTimestamp with datetime.utcnow().
@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")
async def test_a_plugins_token_that_is_refused_before_its_end_is_fetched_again(tmp_path: Path) -> None:
    user = an_exec_plugin(tmp_path, expirationTimestamp="2999-01-01T00:00:00Z")
    subject = await load_credentials(str(a_kubeconfig(tmp_path / "k", **user)))
    assert await aged(subject, 1000).authorization() == "Bearer call-1"
    await aged(subject, 10).renew()
    assert await subject.authorization() == "Bearer call-2"


async def test_many_refused_requests_ask_once(tmp_path: Path) -> None:
    subject = await load_credentials(str(a_kubeconfig(tmp_path / "k", **an_exec_plugin(tmp_path))))
    aged(subject, 10)
    await asyncio.gather(*(subject.renew() for _ in range(5)))
    await subject.renew()
    assert await subject.authorization() == "Bearer call-2"


async def test_a_refused_plugin_token_is_replaced_within_the_request(double: ApiDouble, tmp_path: Path) -> None:
    file = a_kubeconfig(tmp_path / "k", double.url, **an_exec_plugin(tmp_path))
    double.on("GET", "/version", refusal(401, "Unauthorized"), ok({}))
    async with ApiClient.connect(str(file)) as api:
        aged(api.credentials, 10)
        await api.get("/version")
    assert [seen.headers["Authorization"] for seen in double.seen] == ["Bearer call-1", "Bearer call-2"]


async def test_a_context_can_be_chosen(tmp_path: Path) -> None:
    file = a_kubeconfig(tmp_path / "k")
    assert await (await load_credentials(str(file), "there")).authorization() == "Bearer s3cret"


@pytest.mark.parametrize(
    ("spoil", "context", "says"),
    [
        (lambda content: content, "nowhere", 'context "nowhere" does not exist in it; there are: here, there'),
        (lambda content: content.pop("current-context"), None, "choose one with --context: here, there"),
        (lambda content: content.pop("contexts"), None, "no contexts"),
        (lambda content: content.pop("clusters"), None, "it cannot be read"),
        (lambda content: content["users"][0].pop("user"), None, "it cannot be read"),
        (
            lambda content: content["clusters"][0].update(
                cluster={"server": "https://x", "certificate-authority": "/nonexistent"}
            ),
            None,
            "it cannot be read",
        ),
    ],
)
async def test_a_kubeconfig_that_cannot_be_used_is_explained_without_its_secrets(
    tmp_path: Path, spoil: Any, context: str | None, says: str
) -> None:
    file = a_kubeconfig(tmp_path / "k")
    content = yaml.safe_load(file.read_text())
    # A token beside the wrong place, which the library would quote in its own message.
    content["users"][0]["token"] = "s3cret"
    spoil(content)
    file.write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigurationError, match=says) as caught:
        await load_credentials(str(file), context)
    assert str(file) in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


async def test_where_there_is_none_all_places_are_named(nowhere: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await load_credentials()
    for place in ("--kubeconfig", "$KUBECONFIG", "service account", str(nowhere / ".kube" / "config")):
        assert place in str(caught.value)


async def test_a_kubeconfig_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such file"):
        await load_credentials(str(tmp_path / "missing"))
