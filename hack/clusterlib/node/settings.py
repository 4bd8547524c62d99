"""The files that a node's servers read; each is a pure function of the plan.

Defaults are left out. JSON is YAML, so what Kubernetes reads is written as JSON.
"""

import json
from pathlib import Path
from typing import Any

from clusterlib.components import Plan
from clusterlib.pki import NODE_NAME

POD_RANGE = "10.244.0.0/16"
DNS_ADDRESS = "10.96.0.10"
"""Of the Service in front of CoreDNS."""
DOMAIN = "cluster.local"

KUBELET_HEALTH_PORT = 10248
PROXY_METRICS_PORT = 10249
DNS_READY_PORT = 8181

PAUSE_IMAGE = "mintls.local/pause:1"
"""Made here of a program that waits: no registry is needed for it."""


def folder(plan: Plan) -> Path:
    """The node's own folder within that of the cluster."""
    return plan.folder.root / "node"


def containerd_socket(plan: Plan) -> Path:
    """Where containerd listens."""
    return plan.folder.run / "containerd.sock"


def containerd(plan: Plan, cni_plugins: Path) -> str:
    """The configuration of containerd (1.6 or newer, its version 2 of the format)."""
    return f"""\
version = 2
root = "{folder(plan) / "containerd"}"
state = "{plan.folder.run / "containerd"}"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.snapshotter.v1.aufs"]

[grpc]
address = "{containerd_socket(plan)}"

[plugins."io.containerd.internal.v1.opt"]
path = "{folder(plan) / "opt"}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
# A machine in a container or a small virtual machine often lacks CAP_SYS_RESOURCE; runc dies without a reason then.
restrict_oom_score_adj = true
netns_mounts_under_state_dir = true

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{cni_plugins}"
conf_dir = "{folder(plan) / "cni"}"
"""


def cni(plan: Plan) -> str:
    """The network of the pods: a cable each, and routes; no bridge, which would need a kernel module more."""
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": POD_RANGE}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(folder(plan) / "addresses"),
    }
    plugins = [
        {"type": "ptp", "ipMasq": False, "ipam": ipam},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return _json({"cniVersion": "0.4.0", "name": plan.folder.label, "plugins": plugins})


def kubelet(plan: Plan) -> str:
    """The configuration of the kubelet."""
    return _json(
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": plan.address,
            "port": plan.ports["kubelet"],
            "healthzBindAddress": plan.address,
            "healthzPort": KUBELET_HEALTH_PORT,
            "tlsCertFile": plan.certificate("kubelet-server"),
            "tlsPrivateKeyFile": plan.key("kubelet-server"),
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": plan.certificate("ca")},
            },
            "authorization": {"mode": "Webhook"},
            "containerRuntimeEndpoint": f"unix://{containerd_socket(plan)}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{plan.folder.label}",
            "enforceNodeAllocatable": [],
            "failCgroupV1": False,
            "failSwapOn": False,
            # The machine's disk may be nearly full, and is not this node's to judge.
            "localStorageCapacityIsolation": False,
            "evictionHard": {"memory.available": "100Mi"},
            "imageGCHighThresholdPercent": 100,
            "imageMinimumGCAge": "87600h",
            "resolvConf": "/dev/null",
            "clusterDNS": [DNS_ADDRESS],
            "clusterDomain": DOMAIN,
            "podLogsDir": str(folder(plan) / "pod-logs"),
            "volumePluginDir": str(folder(plan) / "volume-plugins"),
            # A Secret that was renewed is in its pods within seconds instead of a minute.
            "syncFrequency": "5s",
            "featureGates": {
                "ClusterTrustBundle": True,
                "ClusterTrustBundleProjection": True,
                "PodCertificateRequest": True,
            },
            "registerNode": True,
        }
    )


def kube_proxy(plan: Plan) -> str:
    """The configuration of kube-proxy."""
    return _json(
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "iptables",
            "bindAddress": plan.address,
            "hostnameOverride": NODE_NAME,
            "clusterCIDR": POD_RANGE,
            "healthzBindAddress": f"{plan.address}:{plan.ports['kube-proxy']}",
            "metricsBindAddress": f"{plan.address}:{PROXY_METRICS_PORT}",
            "clientConnection": {"kubeconfig": str(plan.folder.kubeconfig_of("kube-proxy"))},
            # The limits of connection tracking are the machine's, and may be read-only.
            "conntrack": {"maxPerCore": 0},
            "iptables": {"minSyncPeriod": "100ms"},
        }
    )


def corefile(plan: Plan) -> str:
    """The configuration of CoreDNS: the cluster's names, and of all others that they do not exist."""
    return f"""\
{DOMAIN} in-addr.arpa ip6.arpa {{
    bind {plan.address}
    errors
    ready {plan.address}:{DNS_READY_PORT}
    kubernetes {DOMAIN} in-addr.arpa ip6.arpa {{
        kubeconfig {plan.folder.kubeconfig_of("coredns")}
        pods insecure
        ttl 1
    }}
    cache 1
}}
. {{
    bind {plan.address}
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"""


def dns_objects(plan: Plan) -> str:
    """What the API has to know of cluster DNS: a Service whose one endpoint is the node, and CoreDNS' rights."""
    labels = {"k8s-app": "kube-dns"}
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:coredns"}
    objects: list[dict[str, Any]] = [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": "kube-system", "labels": labels},
            "spec": {"clusterIP": DNS_ADDRESS, "ports": ports},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": "kube-dns-node",
                "namespace": "kube-system",
                "labels": {"kubernetes.io/service-name": "kube-dns"},
            },
            "addressType": "IPv4",
            "endpoints": [{"addresses": [plan.address], "conditions": {"ready": True}, "nodeName": NODE_NAME}],
            "ports": ports,
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "system:coredns"},
            "rules": [
                {
                    "apiGroups": [""],
                    "resources": ["services", "pods", "namespaces", "endpoints"],
                    "verbs": ["list", "watch"],
                },
                {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
            ],
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "system:coredns"},
            "roleRef": role,
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "system:coredns"}],
        },
    ]
    return _json({"apiVersion": "v1", "kind": "List", "items": objects})


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, indent=2) + "\n"
