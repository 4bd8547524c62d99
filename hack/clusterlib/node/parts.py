"""The servers that a cluster with a node has beside its control plane."""

import http.client
import json
import subprocess
from contextlib import suppress
from pathlib import Path

from clusterlib.components import Component, Plan, answers, get
from clusterlib.errors import StartError
from clusterlib.files import write_private
from clusterlib.node import cgroups, images, settings
from clusterlib.node.machine import cni_folder, program
from clusterlib.pki import NODE_NAME

NODE_USERS = ("scheduler", "kubelet", "kube-proxy", "coredns")
"""Those with a kubeconfig of their own."""


def scheduler_arguments(plan: Plan) -> list[str]:
    """The flags of kube-scheduler."""
    return [
        f"--kubeconfig={plan.folder.kubeconfig_of('scheduler')}",
        f"--bind-address={plan.address}",
        f"--secure-port={plan.ports['kube-scheduler']}",
        f"--tls-cert-file={plan.certificate('scheduler-server')}",
        f"--tls-private-key-file={plan.key('scheduler-server')}",
        # There is one: waiting for a lease would only cost seconds.
        "--leader-elect=false",
    ]


def scheduler_is_ready(plan: Plan) -> bool:
    """Whether it has read its first list of pods and nodes."""
    return answers(plan, "kube-scheduler", "/readyz")


def containerd_arguments(plan: Plan) -> list[str]:
    """The flags of containerd."""
    return [f"--config={_containerd_config(plan)}"]


def prepare_containerd(plan: Plan) -> None:
    """Write what it reads."""
    plugins = cni_folder()
    if plugins is None:
        raise StartError(f"cluster {plan.folder.name}: the CNI plugins are gone: run `hack/cluster up --node` again.")
    for folder in (settings.folder(plan), settings.folder(plan) / "cni", plan.folder.run):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_private(_containerd_config(plan), settings.containerd(plan, plugins))
    write_private(settings.folder(plan) / "cni" / "10-mintls.conflist", settings.cni(plan))


def containerd_is_ready(plan: Plan) -> bool:
    """Whether it answers on its socket."""
    with suppress(subprocess.TimeoutExpired):
        command = [program("ctr"), f"--address={settings.containerd_socket(plan)}", "version"]
        return subprocess.run(command, capture_output=True, timeout=5, check=False).returncode == 0
    return False


def _containerd_config(plan: Plan) -> Path:
    return settings.folder(plan) / "containerd.toml"


def kubelet_arguments(plan: Plan) -> list[str]:
    """The flags of the kubelet: those that its file cannot say."""
    return [
        f"--config={settings.folder(plan) / 'kubelet.json'}",
        f"--kubeconfig={plan.folder.kubeconfig_of('kubelet')}",
        f"--root-dir={settings.folder(plan) / 'kubelet'}",
        f"--cert-dir={settings.folder(plan) / 'kubelet-pki'}",
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={plan.address}",
    ]


def prepare_kubelet(plan: Plan) -> None:
    """Write what it reads, make the cgroup of its pods, and have the image that every pod starts with."""
    cgroups.make(plan.folder.label)
    write_private(settings.folder(plan) / "kubelet.json", settings.kubelet(plan))
    archive = settings.folder(plan) / "pause.tar"
    images.write_archive(archive, settings.PAUSE_IMAGE, _programs(plan) / "pause")
    images.load(settings.containerd_socket(plan), archive)


def node_is_ready(plan: Plan) -> bool:
    """Whether the kubelet answers, and the API calls the node ready: pods are scheduled on it."""
    if not answers(plan, "kubelet", "/healthz"):
        return False
    status, body = get(plan, "kube-apiserver", f"/api/v1/nodes/{NODE_NAME}")
    if status != http.client.OK:
        return False
    node = json.loads(body)
    ready = [each["status"] for each in node["status"].get("conditions", ()) if each["type"] == "Ready"]
    return ready == ["True"] and not node["spec"].get("taints")


def kube_proxy_arguments(plan: Plan) -> list[str]:
    """The flags of kube-proxy."""
    return [f"--config={settings.folder(plan) / 'kube-proxy.json'}"]


def prepare_kube_proxy(plan: Plan) -> None:
    """Write what it reads."""
    write_private(settings.folder(plan) / "kube-proxy.json", settings.kube_proxy(plan))


def kube_proxy_is_ready(plan: Plan) -> bool:
    """Whether the rules of all Services are in the kernel."""
    return _answers_plainly(plan.address, plan.ports["kube-proxy"], "/healthz")


def coredns_arguments(plan: Plan) -> list[str]:
    """The flags of CoreDNS."""
    return [f"-conf={settings.folder(plan) / 'Corefile'}"]


def prepare_coredns(plan: Plan) -> None:
    """Write what it reads, and tell the API of it; raises StartError."""
    write_private(settings.folder(plan) / "Corefile", settings.corefile(plan))
    done = subprocess.run(
        [f"{plan.binaries}/kubectl", "apply", "--server-side", "--field-manager=hack-cluster", "--filename=-"],
        input=settings.dns_objects(plan),
        env={"KUBECONFIG": str(plan.folder.kubeconfig), "KUBECACHEDIR": str(plan.folder.root / "kubectl-cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise StartError(f"cluster {plan.folder.name}: the DNS Service could not be applied: {done.stderr.strip()}")


def coredns_is_ready(plan: Plan) -> bool:
    """Whether it knows the cluster's Services."""
    return _answers_plainly(plan.address, settings.DNS_READY_PORT, "/ready")


def _programs(plan: Plan) -> Path:
    return Path(plan.node.programs if plan.node else "")


def _answers_plainly(address: str, port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(address, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


NODE_PARTS = (
    Component("kube-scheduler", scheduler_arguments, scheduler_is_ready, patience=60, port=10259),
    Component(
        "containerd",
        containerd_arguments,
        containerd_is_ready,
        patience=30,
        prepare=prepare_containerd,
        program=lambda _: program("containerd"),
    ),
    Component("kubelet", kubelet_arguments, node_is_ready, patience=90, port=10250, prepare=prepare_kubelet),
    Component(
        "kube-proxy", kube_proxy_arguments, kube_proxy_is_ready, patience=60, port=10256, prepare=prepare_kube_proxy
    ),
    Component(
        "coredns",
        coredns_arguments,
        coredns_is_ready,
        patience=60,
        port=53,
        prepare=prepare_coredns,
        program=lambda plan: str(_programs(plan) / "coredns"),
    ),
)
"""In the order of starting."""
