"""A node as people use it: real pods on a real kubelet, by nothing but the command and kubectl.

Needs Linux and root; everywhere else it is skipped, and says so.
"""

import json
import os
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from builders.waiting import poll
from clusterlib import record
from clusterlib.build import ensure_node_programs
from clusterlib.node import cgroups, images, network
from clusterlib.node.leftovers import mounts_below
from clusterlib.paths import MODULE_DIR, ClusterDir
from clusterlib.progress import Silent

from .conftest import embedded_environment, processes_naming

pytestmark = pytest.mark.cluster

COMMAND = MODULE_DIR.parent / "cluster"
IMAGE = "example.org/hello:1"

WORKLOAD = f"""
apiVersion: v1
kind: Namespace
metadata: {{name: walk, labels: {{pod-security.kubernetes.io/enforce: restricted}}}}
---
apiVersion: v1
kind: Secret
metadata: {{name: greeting, namespace: walk}}
stringData: {{word: first}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {{name: hello, namespace: walk}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: hello}}}}
  template:
    metadata: {{labels: {{app: hello}}}}
    spec:
      terminationGracePeriodSeconds: 0
      securityContext: {{runAsNonRoot: true, runAsUser: 65532, seccompProfile: {{type: RuntimeDefault}}}}
      containers:
      - name: hello
        image: {IMAGE}
        imagePullPolicy: Never
        readinessProbe: {{httpGet: {{path: /ready, port: 8080}}, periodSeconds: 1}}
        securityContext:
          {{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {{drop: [ALL]}}}}
        volumeMounts: [{{name: greeting, mountPath: /greeting}}]
      volumes: [{{name: greeting, secret: {{secretName: greeting}}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: hello, namespace: walk}}
spec: {{selector: {{app: hello}}, ports: [{{port: 80, targetPort: 8080}}]}}
"""


def run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, *arguments], env=embedded_environment(home), capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def home(node_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cluster ``walk`` whose node runs two pods behind a Service."""
    up = run(node_home, "up", "--node", "--name", "walk")
    try:
        assert up.returncode == 0, up.stderr
        archive = tmp_path_factory.mktemp("image") / "hello.tar"
        images.write_archive(archive, IMAGE, ensure_node_programs(Silent()) / "hello")
        loaded = run(node_home, "load", "--name", "walk", str(archive))
        assert (loaded.returncode, loaded.stdout) == (0, f"{IMAGE}\n"), loaded.stderr
        kubectl(node_home, "apply", "--filename=-", stdin=WORKLOAD)
        kubectl(node_home, "--namespace=walk", "rollout", "status", "deployment/hello", "--timeout=60s")
        yield node_home
    finally:
        run(node_home, "down", "--name", "walk")


def kubectl_line(home: Path, *arguments: str) -> list[str]:
    folder = home / "mintls" / "clusters" / "walk"
    known = json.loads((folder / "cluster.json").read_text())
    return [f"{known['binaries']}/kubectl", f"--kubeconfig={folder / 'kubeconfig'}", *arguments]


def kubectl(home: Path, *arguments: str, stdin: str = "") -> str:
    done = subprocess.run(kubectl_line(home, *arguments), input=stdin, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def pods(home: Path) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(kubectl(home, "--namespace=walk", "get", "pods", "--output=json"))[
        "items"
    ]
    return found


def within(home: Path, *command: str) -> str:
    """What a command prints in one of the pods."""
    return kubectl(home, "--namespace=walk", "exec", "deployment/hello", "--", *command)


def test_pods_run_and_the_restricted_standard_is_enforced(home: Path) -> None:
    assert [pod["status"]["phase"] for pod in pods(home)] == ["Running", "Running"]  # type: ignore[index]
    refused = subprocess.run(
        kubectl_line(home, "--namespace=walk", "run", "rough", f"--image={IMAGE}"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    assert 'violates PodSecurity "restricted' in refused.stderr


def test_a_service_is_found_by_its_name_and_reaches_its_pods(home: Path) -> None:
    for name in ("hello", "hello.walk", "hello.walk.svc.cluster.local"):
        assert within(home, "/hello", "get", f"http://{name}/x").startswith("hello from hello-")


def test_the_api_is_reached_by_its_service(home: Path) -> None:
    # No CA in the image, so it stops at the certificate, which only the API server can have shown.
    done = subprocess.run(
        kubectl_line(
            home, "-n", "walk", "exec", "deployment/hello", "--", "/hello", "get", "https://kubernetes.default/"
        ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "certificate" in done.stderr


def test_a_name_that_is_not_there_is_said_not_to_be(home: Path) -> None:
    done = subprocess.run(
        kubectl_line(home, "-n", "walk", "exec", "deployment/hello", "--", "/hello", "get", "http://nowhere.example/"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert "no such host" in done.stderr


def test_logs_are_shown(home: Path) -> None:
    within(home, "/hello", "get", "http://hello/seen-in-the-log")
    logs = kubectl(home, "--namespace=walk", "logs", "--selector=app=hello", "--tail=-1")
    assert "asked for /seen-in-the-log" in logs


def test_a_port_is_forwarded(home: Path) -> None:
    line = kubectl_line(home, "--namespace=walk", "port-forward", "service/hello", ":80")
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as forward:
        assert forward.stdout
        address = forward.stdout.readline().split()[2]
        with urllib.request.urlopen(f"http://{address}/forwarded", timeout=10) as answer:
            assert answer.read().endswith(b": /forwarded\n")
        forward.terminate()


def test_a_changed_secret_reaches_its_pods(home: Path) -> None:
    [pod, *_] = pods(home)
    uid = pod["metadata"]["uid"]  # type: ignore[index]
    folder = home / "mintls" / "clusters" / "walk" / "node" / "kubelet" / "pods" / uid / "volumes"
    file = folder / "kubernetes.io~secret" / "greeting" / "word"
    assert file.read_text() == "first"
    kubectl(home, "-n", "walk", "patch", "secret", "greeting", '--patch={"stringData":{"word":"second"}}')
    poll(lambda: file.read_text() == "second")


def test_a_second_up_finds_it_running(home: Path) -> None:
    again = run(home, "up", "--node", "--name", "walk")
    assert "runs already; nothing to do" in again.stderr


def test_a_control_plane_that_was_killed_comes_back_under_pods_that_run_on(home: Path) -> None:
    before = {pod["metadata"]["uid"]: pod["status"]["containerStatuses"][0]["containerID"] for pod in pods(home)}  # type: ignore[index]
    known = record.load(ClusterDir(home / "mintls" / "clusters" / "walk"))
    assert known
    for name in ("etcd", "kube-apiserver", "containerd", "kubelet"):
        os.kill(known.pids[name], signal.SIGKILL)
    assert "damaged" in run(home, "status", "--name", "walk").stdout
    healed = run(home, "up", "--name", "walk")
    assert healed.returncode == 0, healed.stderr
    kubectl(home, "--namespace=walk", "wait", "--for=condition=Ready", "pod", "--all", "--timeout=60s")
    after = {pod["metadata"]["uid"]: pod["status"]["containerStatuses"][0]["containerID"] for pod in pods(home)}  # type: ignore[index]
    assert after == before
    # What the API says of pods is from before the crash, until the kubelet has looked at them again.
    exec_line = kubectl_line(home, "-n", "walk", "exec", "deployment/hello", "--", "/hello", "get", "http://hello/")

    def greets() -> bool:
        done = subprocess.run(exec_line, capture_output=True, text=True, check=False)
        return done.stdout.startswith("hello from hello-")

    poll(greets)


def test_an_image_that_no_engine_has_is_refused(home: Path) -> None:
    refused = run(home, "load", "--name", "walk", "example.org/nothing:1")
    assert refused.returncode == 1
    assert "no engine gives an image example.org/nothing:1" in refused.stderr


def test_a_cluster_without_a_node_takes_no_image(home: Path, tmp_path: Path) -> None:
    (tmp_path / "image.tar").touch()
    try:
        assert run(home, "up", "--name", "bare").returncode == 0
        refused = run(home, "load", "--name", "bare", str(tmp_path / "image.tar"))
        assert "has no node to load an image into" in refused.stderr
        other = run(home, "up", "--node", "--name", "bare")
        assert "runs already, with other options" in other.stderr
    finally:
        run(home, "down", "--name", "bare")


class TestDown:
    """Last, because it ends what the others use."""

    def test_it_leaves_nothing_behind_even_after_a_crash_that_lost_the_record(self, home: Path) -> None:
        folder = ClusterDir(home / "mintls" / "clusters" / "walk")
        known = record.load(folder)
        assert known
        assert cgroups.members(folder.label)
        for pid in known.pids.values():
            os.kill(pid, signal.SIGKILL)
        folder.record.unlink()
        down = run(home, "down", "--name", "walk")
        assert "stopped and removed" in down.stderr, down.stderr
        poll(lambda: not processes_naming(f"{folder.root}/"), seconds=5)
        assert processes_naming(f"{folder.run}/") == []
        assert mounts_below(Path("/proc/self/mountinfo").read_text(), (folder.root, folder.run)) == []
        assert cgroups.groups(folder.label) == []
        assert not network.exists(folder)
        assert not (Path("/sys/class/net") / f"mt{folder.mark}").exists()
        assert not folder.run.exists()
        assert not folder.root.exists()
        assert not [link for link in Path("/var/log/containers").glob("*hello*_walk_*") if link.is_symlink()]
        assert "nothing to take down" in run(home, "down", "--name", "walk").stderr
