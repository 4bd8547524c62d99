import base64
import datetime as dt
from pathlib import Path
from typing import Any

import pytest
import yaml

from clusterlib.kubeconfig import render
from clusterlib.pki import create_pki


@pytest.fixture
def config(tmp_path: Path) -> Any:
    create_pki(tmp_path, dt.datetime.now(dt.UTC))
    return yaml.safe_load(render(context="x", server="https://127.0.0.1:1", user="admin", pki_folder=tmp_path))


def test_the_current_context_leads_to_the_server_and_the_user(config: Any) -> None:
    (context,) = config["contexts"]
    assert context["name"] == config["current-context"]
    assert context["context"] == {"cluster": config["clusters"][0]["name"], "user": config["users"][0]["name"]}
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:1"


def test_key_and_certificates_are_inside(config: Any, tmp_path: Path) -> None:
    user = config["users"][0]["user"]
    assert base64.b64decode(user["client-key-data"]) == (tmp_path / "admin.key").read_bytes()
    assert base64.b64decode(user["client-certificate-data"]) == (tmp_path / "admin.crt").read_bytes()
    authority = config["clusters"][0]["cluster"]["certificate-authority-data"]
    assert base64.b64decode(authority) == (tmp_path / "ca.crt").read_bytes()
