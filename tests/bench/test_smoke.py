"""The harness works: everything is measured once and for a moment. What comes out is judged by nobody."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bench import operatorresults
from bench.issuer import FEW
from bench.results import OURS, PEER
from builders.world import REPOSITORY

pytestmark = pytest.mark.cluster


def smoke(what: str, folder: Path) -> tuple[str, Any]:
    """What is printed, and what is saved."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("two cores are needed: one for what is measured, one for the load")
    done = subprocess.run(
        [sys.executable, "-m", "bench", what, "--smoke", "--output", str(folder)],
        env=os.environ | {"PYTHONPATH": f"{REPOSITORY}/tests:{REPOSITORY}/hack"},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads((folder / f"{what}-smoke.json").read_text())


def test_issuer_peer_and_floor_are_measured_and_the_targets_printed(tmp_path: Path) -> None:
    printed, measured = smoke("issuer", tmp_path)

    assert "| tokens/s, keep-alive, 32 connections, against the peer " in printed
    for scenario in (*FEW, "introspection", "all clients, a handshake per request"):
        for server in (OURS, PEER):
            assert measured["rounds"][scenario][server][0]["rate"] > 0, (scenario, server)
    assert measured["single"]["mTLS handshakes a second (openssl s_server)"] > 0
    assert "access_token" not in printed + json.dumps(measured)


def test_operator_and_peer_are_measured_and_the_targets_printed(tmp_path: Path) -> None:
    printed, measured = smoke("operator", tmp_path)

    assert "| certificates/s of the peer's " in printed
    for program in (operatorresults.OURS, operatorresults.PEER):
        assert measured["bursts"]["beside"][program][0]["writes"] > 1, program
    assert measured["single"]["tokens asked for meanwhile"] > 0
    assert measured["single"]["failed token requests meanwhile"] == 0
    assert "PRIVATE KEY" not in printed + json.dumps(measured)
