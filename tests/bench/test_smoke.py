"""The harness works: everything is measured once and for a moment. What comes out is judged by nobody."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.issuer import FEW
from bench.results import OURS, PEER
from builders.world import REPOSITORY

pytestmark = pytest.mark.cluster


def test_issuer_peer_and_floor_are_measured_and_the_targets_printed(tmp_path: Path) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("two cores are needed: one for what is measured, one for the load")

    done = subprocess.run(
        [sys.executable, "-m", "bench", "issuer", "--smoke", "--output", str(tmp_path)],
        env=os.environ | {"PYTHONPATH": f"{REPOSITORY}/tests:{REPOSITORY}/hack"},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )

    assert done.returncode == 0, done.stderr
    assert "| tokens/s, keep-alive, 32 connections, against the peer " in done.stdout
    measured = json.loads((tmp_path / "issuer-smoke.json").read_text())
    for scenario in (*FEW, "introspection", "all clients, a handshake per request"):
        for server in (OURS, PEER):
            assert measured["rounds"][scenario][server][0]["rate"] > 0, (scenario, server)
    assert measured["single"]["mTLS handshakes a second (openssl s_server)"] > 0
    assert "access_token" not in done.stdout + json.dumps(measured)
