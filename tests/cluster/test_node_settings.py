"""What the servers of a node are told."""

import json
import tomllib
from pathlib import Path

from clusterlib.components import Plan
from clusterlib.node import settings
from clusterlib.node.parts import NODE_PARTS, scheduler_arguments


def test_everything_listens_on_the_node_and_not_on_the_machine(plan: Plan) -> None:
    kubelet, proxy = json.loads(settings.kubelet(plan)), json.loads(settings.kube_proxy(plan))
    assert kubelet["address"] == kubelet["healthzBindAddress"] == proxy["bindAddress"] == "198.18.0.6"
    assert proxy["healthzBindAddress"].startswith("198.18.0.6:")
    assert "--bind-address=198.18.0.6" in scheduler_arguments(plan)
    assert settings.corefile(plan).count("bind 198.18.0.6") == 2


def test_the_kubelet_lets_nobody_in_without_a_credential(plan: Plan) -> None:
    kubelet = json.loads(settings.kubelet(plan))
    assert kubelet["authentication"]["anonymous"] == {"enabled": False}
    assert kubelet["authorization"] == {"mode": "Webhook"}


def test_containerd_keeps_to_folders_of_the_cluster(plan: Plan) -> None:
    told = tomllib.loads(settings.containerd(plan, Path("/usr/lib/cni")))
    cri = told["plugins"]["io.containerd.grpc.v1.cri"]
    places = [told["root"], told["plugins"]["io.containerd.internal.v1.opt"]["path"], cri["cni"]["conf_dir"]]
    assert all(Path(place).is_relative_to(plan.folder.root) for place in places)
    assert all(Path(place).is_relative_to(plan.folder.run) for place in (told["state"], told["grpc"]["address"]))
    assert json.loads(settings.kubelet(plan))["containerRuntimeEndpoint"] == f"unix://{told['grpc']['address']}"


def test_a_sockets_path_fits_into_the_kernels_108_bytes_whatever_the_clusters_name(plan: Plan) -> None:
    assert len(str(settings.containerd_socket(plan))) < 60


def test_the_dns_service_leads_to_the_node(plan: Plan) -> None:
    objects = {each["kind"]: each for each in json.loads(settings.dns_objects(plan))["items"]}
    slice_ = objects["EndpointSlice"]
    assert slice_["endpoints"][0]["addresses"] == ["198.18.0.6"]
    assert slice_["metadata"]["labels"]["kubernetes.io/service-name"] == objects["Service"]["metadata"]["name"]
    assert [objects["Service"]["spec"]["clusterIP"]] == json.loads(settings.kubelet(plan))["clusterDNS"]


def test_each_command_line_names_the_clusters_folder(plan: Plan) -> None:
    # That is how a process is recognised as the cluster's own before it is stopped.
    for part in NODE_PARTS:
        line = " ".join([part.path(plan), *part.arguments(plan)]) if part.name != "containerd" else ""
        assert part.name == "containerd" or f"{plan.folder.root}/" in line
