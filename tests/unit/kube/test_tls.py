"""How the API server is verified: its CA is the cluster's, not ours, and may be older than today's rules."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from builders.kube import ClusterCa, a_cluster_ca, api_double, ok
from mintls.kube.client import ApiClient
from mintls.kube.credentials import REFRESH_SECONDS, load_credentials
from mintls.kube.errors import Unreachable


def kubeconfig(folder: Path, server: str, ca: ClusterCa, **cluster: Any) -> str:
    ca_file = folder / "ca.crt"
    ca_file.write_bytes(ca.pem)
    content = {
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority": str(ca_file), **cluster}}],
        "users": [{"name": "c", "user": {"token": "t"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "c"}}],
    }
    file = folder / "kubeconfig"
    file.write_text(yaml.safe_dump(content))
    return str(file)


async def test_a_cluster_ca_without_key_identifiers_is_accepted(tmp_path: Path) -> None:
    ca = a_cluster_ca()
    async with api_double(tls=ca.server_context(tmp_path)) as double:
        double.on("GET", "/version", ok({"major": "1"}))
        async with ApiClient.connect(kubeconfig(tmp_path, double.url, ca)) as api:
            assert await api.get("/version") == {"major": "1"}


async def test_another_ca_is_refused(tmp_path: Path) -> None:
    async with api_double(tls=a_cluster_ca().server_context(tmp_path)) as double:
        double.on("GET", "/version", ok({}))
        async with ApiClient.connect(kubeconfig(tmp_path, double.url, a_cluster_ca())) as api:
            with pytest.raises(Unreachable, match="certificate"):
                await api.get("/version")
        assert not double.seen


async def test_another_name_is_refused(tmp_path: Path) -> None:
    ca = a_cluster_ca()
    async with api_double(tls=ca.server_context(tmp_path, "127.0.0.2")) as double:
        double.on("GET", "/version", ok({}))
        async with ApiClient.connect(kubeconfig(tmp_path, double.url, ca)) as api:
            with pytest.raises(Unreachable, match="certificate"):
                await api.get("/version")
        named = kubeconfig(tmp_path, double.url, ca, **{"tls-server-name": "127.0.0.2"})
        async with ApiClient.connect(named) as api:
            assert await api.get("/version") == {}


async def test_the_systems_cas_have_no_say(tmp_path: Path) -> None:
    subject = await load_credentials(kubeconfig(tmp_path, "https://127.0.0.1:1", a_cluster_ca()))
    assert subject.ssl_context is not None
    assert len(subject.ssl_context.get_ca_certs()) == 1


async def test_a_ca_that_was_replaced_is_taken_up_without_a_restart(tmp_path: Path) -> None:
    new = a_cluster_ca()
    async with api_double(tls=new.server_context(tmp_path)) as double:
        double.on("GET", "/version", ok({}))
        async with ApiClient.connect(kubeconfig(tmp_path, double.url, a_cluster_ca())) as api:
            with pytest.raises(Unreachable):
                await api.get("/version")
            ca_file = tmp_path / "ca.crt"
            ca_file.write_bytes(new.pem)
            os.utime(ca_file, ns=(1, 1))
            api.credentials._read_at -= REFRESH_SECONDS
            assert await api.get("/version") == {}
