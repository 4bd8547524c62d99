"""The parts of a control plane: which flags each is started with, and how one sees that it works.

Flags that repeat a default are left out. Each list is a pure function of the cluster's folder and ports.
"""

import contextlib
import http.client
import json
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from clusterlib import pki
from clusterlib.options import Options
from clusterlib.paths import ClusterDir
from clusterlib.ports import LOOPBACK
from clusterlib.record import Node

ADDRESS_IN_USE = "address already in use"
"""How Go's servers say in their log that a port was taken."""

ISSUER = "https://kubernetes.default.svc.cluster.local"

AUDIT_POLICY = """\
apiVersion: audit.k8s.io/v1
kind: Policy
# One event per request, when it is done: two would be counted twice.
omitStages: [RequestReceived]
rules:
- level: Metadata
"""


@dataclass(frozen=True)
class Plan:
    """All that decides how the parts are started."""

    folder: ClusterDir
    ports: Mapping[str, int]
    options: Options
    binaries: str = ""
    """The folder of Kubernetes' programs."""
    node: Node | None = None

    @property
    def address(self) -> str:
        """What every part listens on: the loopback interface, or the node in its own network namespace."""
        return self.node.address if self.node else LOOPBACK

    def url(self, component: str) -> str:
        """Where a part serves."""
        return f"https://{self.address}:{self.ports[component]}"

    def certificate(self, name: str) -> str:
        """The path of a certificate."""
        return str(pki.certificate_path(self.folder.pki, name))

    def key(self, name: str) -> str:
        """The path of a private key."""
        return str(pki.key_path(self.folder.pki, name))


@dataclass(frozen=True)
class Component:
    """One server."""

    name: str
    """Of the binary, the log and the port."""
    arguments: Callable[[Plan], list[str]]
    is_ready: Callable[[Plan], bool]
    patience: float
    """How long it may take to become ready, in seconds; generous, for a machine that is busy with other things."""
    port: int = 0
    """Its port in a node's network namespace, where it has all of them for itself."""
    prepare: Callable[[Plan], None] = lambda _: None
    """What has to be there before it is started; raises ClusterError, OSError."""
    program: Callable[[Plan], str] | None = None
    """The file to run; None: that of its name among Kubernetes' binaries."""

    def path(self, plan: Plan) -> str:
        """The file to run."""
        return self.program(plan) if self.program else f"{plan.binaries}/{self.name}"


def etcd_arguments(plan: Plan) -> list[str]:
    """The flags of etcd."""
    url = plan.url("etcd")
    # A cluster of one never talks to a peer, but wants the listener: port 0 is any free one.
    peer = f"https://{LOOPBACK}:0"
    return [
        f"--data-dir={plan.folder.etcd_data}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        "--client-cert-auth",
        f"--trusted-ca-file={plan.certificate('etcd-ca')}",
        f"--cert-file={plan.certificate('etcd')}",
        f"--key-file={plan.key('etcd')}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        "--peer-client-cert-auth",
        f"--peer-trusted-ca-file={plan.certificate('etcd-ca')}",
        f"--peer-cert-file={plan.certificate('etcd')}",
        f"--peer-key-file={plan.key('etcd')}",
        # The data are thrown away with the cluster: only a crash of the whole machine can hurt them.
        "--unsafe-no-fsync",
    ]


def apiserver_arguments(plan: Plan) -> list[str]:
    """The flags of kube-apiserver; those of the options come last, because the last one of a kind counts."""
    return [
        *_apiserver_network(plan),
        *_apiserver_identity(plan),
        *(_apiserver_node(plan) if plan.node else _apiserver_alone()),
        *(_apiserver_audit(plan) if plan.options.audit_log else []),
        *plan.options.apiserver_args,
    ]


def _apiserver_network(plan: Plan) -> list[str]:
    return [
        f"--bind-address={plan.address}",
        f"--secure-port={plan.ports['kube-apiserver']}",
        # Or the machine's own address is looked for, which fails where there is no network.
        f"--advertise-address={plan.address}",
        f"--tls-cert-file={plan.certificate('apiserver')}",
        f"--tls-private-key-file={plan.key('apiserver')}",
        f"--service-cluster-ip-range={pki.SERVICE_RANGE}",
        f"--etcd-servers={plan.url('etcd')}",
        f"--etcd-cafile={plan.certificate('etcd-ca')}",
        f"--etcd-certfile={plan.certificate('apiserver-etcd-client')}",
        f"--etcd-keyfile={plan.key('apiserver-etcd-client')}",
    ]


def _apiserver_alone() -> list[str]:
    # A loopback address is no valid endpoint: without "none" it is tried, and logged as an error, for ever.
    return ["--endpoint-reconciler-type=none"]


def _apiserver_node(plan: Plan) -> list[str]:
    return [
        # A node's name resolves nowhere.
        "--kubelet-preferred-address-types=InternalIP",
        f"--kubelet-certificate-authority={plan.certificate('ca')}",
        f"--kubelet-client-certificate={plan.certificate('apiserver-kubelet-client')}",
        f"--kubelet-client-key={plan.key('apiserver-kubelet-client')}",
    ]


def _apiserver_identity(plan: Plan) -> list[str]:
    return [
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        # What the next versions of Kubernetes bring to all, and this one to those who ask for it.
        "--feature-gates=ClusterTrustBundle=true,ClusterTrustBundleProjection=true,PodCertificateRequest=true",
        "--runtime-config=certificates.k8s.io/v1beta1/clustertrustbundles=true,"
        "certificates.k8s.io/v1beta1/podcertificaterequests=true",
        "--allow-privileged=true",
        f"--client-ca-file={plan.certificate('ca')}",
        f"--service-account-issuer={ISSUER}",
        f"--service-account-key-file={plan.folder.pki / 'service-account.pub'}",
        f"--service-account-signing-key-file={plan.folder.pki / 'service-account.key'}",
        f"--requestheader-client-ca-file={plan.certificate('front-proxy-ca')}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={plan.certificate('front-proxy-client')}",
        f"--proxy-client-key-file={plan.key('front-proxy-client')}",
    ]


def _apiserver_audit(plan: Plan) -> list[str]:
    return [
        f"--audit-policy-file={plan.folder.audit_policy}",
        f"--audit-log-path={plan.folder.audit_log}",
        # In MB: whoever counts lines must not lose the first ones to a rotation at the default of 100.
        "--audit-log-maxsize=10000",
    ]


def controller_manager_arguments(plan: Plan) -> list[str]:
    """The flags of kube-controller-manager."""
    return [
        f"--kubeconfig={plan.folder.kubeconfig_of('controller-manager')}",
        f"--bind-address={plan.address}",
        f"--secure-port={plan.ports['kube-controller-manager']}",
        f"--tls-cert-file={plan.certificate('controller-manager-server')}",
        f"--tls-private-key-file={plan.key('controller-manager-server')}",
        # There is one: waiting for a lease would only cost seconds.
        "--leader-elect=false",
        # At the default of 20 requests a second, making its service accounts takes 5 s of a start.
        "--kube-api-qps=500",
        "--kube-api-burst=1000",
        # Under RBAC each controller has a role of its own; the manager itself may do next to nothing.
        "--use-service-account-credentials",
        f"--service-account-private-key-file={plan.folder.pki / 'service-account.key'}",
        f"--root-ca-file={plan.certificate('ca')}",
        f"--cluster-signing-cert-file={plan.certificate('ca')}",
        f"--cluster-signing-key-file={plan.key('ca')}",
    ]


def etcd_is_ready(plan: Plan) -> bool:
    """Whether etcd has elected itself and takes writes."""
    status, body = get(plan, "etcd", "/health", authority="etcd-ca", client="apiserver-etcd-client")
    return status == http.client.OK and json.loads(body).get("health") == "true"


def apiserver_is_ready(plan: Plan) -> bool:
    """Whether kube-apiserver has run all its start hooks (the RBAC roles are there) and reaches etcd."""
    return answers(plan, "kube-apiserver", "/readyz")


def controllers_are_ready(plan: Plan) -> bool:
    """Whether the controllers work: the first namespace has its service account and its root certificate."""
    return answers(plan, "kube-controller-manager", "/healthz") and all(
        answers(plan, "kube-apiserver", f"/api/v1/namespaces/default/{path}")
        for path in ("serviceaccounts/default", "configmaps/kube-root-ca.crt")
    )


def answers(plan: Plan, component: str, path: str) -> bool:
    """Whether *component* answers a GET by the administrator with 200."""
    return get(plan, component, path)[0] == http.client.OK


def get(plan: Plan, component: str, path: str, *, authority: str = "ca", client: str = "admin") -> tuple[int, bytes]:
    """Status and body of a GET; status 0 for no answer within 2 seconds, or for an answer from somebody else."""
    try:
        context = ssl.create_default_context(cafile=plan.certificate(authority))
        context.load_cert_chain(plan.certificate(client), plan.key(client))
        connection = http.client.HTTPSConnection(plan.address, plan.ports[component], timeout=2, context=context)
        with contextlib.closing(connection):
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read()
    except (OSError, http.client.HTTPException):
        return 0, b""


CONTROL_PLANE = (
    Component("etcd", etcd_arguments, etcd_is_ready, patience=30, port=2379),
    Component("kube-apiserver", apiserver_arguments, apiserver_is_ready, patience=90, port=6443),
    Component("kube-controller-manager", controller_manager_arguments, controllers_are_ready, patience=60, port=10257),
)
"""In the order of starting; stopped the other way round."""
