"""Mintls on a real node, from `helm install` to `helm uninstall`, in one story.

Each scenario goes on where the last one ended.
"""

import base64
import collections
import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from builders import rights
from builders.helm import CHART, SYSTEM
from builders.pki import ec_key
from builders.servicerequests import signing_request
from builders.step_ca import PASSWORD, StepCA
from builders.waiting import poll
from builders.world import REPOSITORY
from clusterlib import embedded
from clusterlib.node.images import write_archive
from clusterlib.progress import Progress
from clusterlib.pytest_plugin import uncaptured
from clusterlib.stepca import ensure_step_ca

from .conftest import WORKLOAD_IMAGE, Stage
from .transcript import DOCUMENT, WRITES, Transcript, masked

pytestmark = pytest.mark.e2e

PODS = Path(__file__).parent / "pods"
QUICKSTART = REPOSITORY / "docs" / "examples" / "quickstart.yaml"

POD_CERTIFICATE = REPOSITORY / "docs" / "examples" / "pod-certificate.yaml"

RENEWALS = 3

type Say = Callable[[str], None]


@pytest.fixture(scope="module", autouse=True)
def story() -> dict[str, Any]:
    """What a scenario leaves to the next ones."""
    return {}


@pytest.fixture(autouse=True)
def in_order(story: dict[str, Any], request: pytest.FixtureRequest) -> Iterator[None]:
    """A scenario whose predecessor failed has no stage to play on."""
    if failed := story.get("failed"):
        pytest.skip(f"an earlier scenario failed: {failed}")
    before = request.session.testsfailed
    yield
    if request.session.testsfailed > before:
        story["failed"] = request.node.name


@contextmanager
def under_load(stage: Stage) -> Iterator[dict[str, Any]]:
    """The workload asks without pause; at the end, what it counted meanwhile. A failed request fails the scenario."""
    before = counted(stage)
    grown: dict[str, Any] = {}
    yield grown
    poll(lambda: counted(stage)["tokens"] > before["tokens"] + 20)
    time.sleep(1.5)
    after = counted(stage)
    grown.update(
        {name: after[name] - before[name] for name in ("tokens", "uses", "retries", "failures", "certificates")}
    )
    grown["retried"] = collections.Counter(after["retried"]) - collections.Counter(before["retried"])
    assert after["failures"] == before["failures"], after["reasons"]
    assert grown["uses"] > 0


def counted(stage: Stage) -> dict[str, Any]:
    """The newest line of the workload."""
    lines = stage.kubectl("-n", "shop", "logs", "deployment/load", "--tail=1").splitlines()
    nothing = {"tokens": 0, "uses": 0, "retries": 0, "failures": 0, "certificates": 0, "retried": {}}
    return dict(json.loads(lines[-1])) if lines else nothing


def pods_of(stage: Stage, component: str) -> list[str]:
    return stage.kubectl(
        *("-n", SYSTEM, "get", "pods", "-l", f"app.kubernetes.io/name=mintls-{component}", "-o", "name")
    ).split()


def rolled_out(stage: Stage) -> None:
    stage.kubectl(
        *("-n", SYSTEM, "rollout", "status", "deployment/mintls-operator", "deployment/mintls-issuer", "--timeout=90s")
    )


def curl(stage: Stage, *arguments: str) -> str:
    return stage.kubectl("-n", "shop", "exec", "deployment/workload", "--", "sh", "-c", " ".join(arguments))


TOKEN = (
    "curl -sS --cert /credential/tls.crt --key /credential/tls.key --cacert /credential/ca.crt"
    ' -d grant_type=client_credentials -d client_id="$(cat /credential/client-id)" "$(cat /credential/token-endpoint)"'
)


def test_install(stage: Stage, say: Say) -> None:
    """helm install on a bare cluster, until everything is ready."""
    began = time.monotonic()
    stage.kubectl("create", "namespace", SYSTEM)
    stage.kubectl("label", "namespace", SYSTEM, "pod-security.kubernetes.io/enforce=restricted")
    stage.helm.run("install", "mintls", CHART, "--wait", "--timeout=60s")
    say(f"ready after {time.monotonic() - began:.1f} s")
    pods = stage.get("-n", SYSTEM, "pods")["items"]
    assert sorted(pod["metadata"]["labels"]["app.kubernetes.io/name"] for pod in pods) == [
        "mintls-issuer",
        "mintls-issuer",
        "mintls-operator",
    ]


def test_quickstart(stage: Stage, say: Say) -> None:
    """kubectl apply of the quickstart, until client and certificate are ready."""
    began = time.monotonic()
    stage.kubectl("apply", "-f", str(QUICKSTART))
    stage.kubectl(
        *("-n", "shop", "wait", "--for=condition=Ready", "--timeout=30s"),
        "oauthclient/billing",
        "clientcertificate/billing",
    )
    say(f"ready after {time.monotonic() - began:.1f} s")


def test_workloads(stage: Stage, tmp_path: Path) -> None:
    """Pods that mount the one Secret, and a resource server that mounts the trust bundle."""
    stage.kubectl("label", "namespace", "shop", "pod-security.kubernetes.io/enforce=restricted")
    make_certificate(tmp_path, "orders.shop.svc")
    for arguments in (
        ("secret", "tls", "orders-tls", f"--cert={tmp_path}/tls.crt", f"--key={tmp_path}/tls.key"),
        ("configmap", "e2e-programs", f"--from-file={PODS / 'resource.py'}", f"--from-file={PODS / 'load.py'}"),
    ):
        stage.kubectl("-n", "shop", "create", *arguments)
    stage.kubectl("apply", "-f", "-", stdin=with_images((PODS / "pods.yaml").read_text(), stage))
    stage.kubectl(
        *("-n", "shop", "rollout", "status", "--timeout=60s"),
        "deployment/orders",
        "deployment/load",
        "deployment/workload",
    )


def with_images(manifest: str, stage: Stage) -> str:
    """The manifest with the image of Mintls that is installed."""
    [operator] = stage.get("-n", SYSTEM, "deployment/mintls-operator")["spec"]["template"]["spec"]["containers"]
    objects = [one for one in yaml.safe_load_all(manifest) if one]
    for one in objects:
        for container in one["spec"].get("template", {}).get("spec", {}).get("containers", ()):
            container["imagePullPolicy"] = "Never"
            container["image"] = operator["image"] if container["image"] == "mintls" else WORKLOAD_IMAGE
    return yaml.safe_dump_all(objects)


def make_certificate(folder: Path, name: str) -> None:
    """A server certificate that vouches for itself."""
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:P-256",
                "-nodes",
                "-days",
                "1",
            ),
            *("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
            *("-keyout", folder / "tls.key", "-out", folder / "tls.crt"),
        ],
        check=True,
        capture_output=True,
    )


def test_token_by_curl(stage: Stage) -> None:
    """In a pod, curl gets a token by the issuer's Service name, and the resource server takes it."""
    token = json.loads(curl(stage, TOKEN))["access_token"]
    claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
    assert claims["client_id"] == "shop:billing"
    use = "curl -sS --cert /credential/tls.crt --key /credential/tls.key --cacert /resource/tls.crt"
    answer = json.loads(curl(stage, use, f"-H 'Authorization: Bearer {token}'", "https://orders.shop.svc/orders"))
    assert answer == {"client": "shop:billing", "scope": "orders.read orders.write"}


def test_refusals(stage: Stage) -> None:
    """Without a certificate, or with another client's, there is no token; a stolen token is of no use."""
    endpoint = "https://mintls-issuer.mintls-system.svc:9443/token"
    form = "-d grant_type=client_credentials -d client_id=shop:billing"
    bare = json.loads(curl(stage, f"curl -sS --cacert /credential/ca.crt {form} {endpoint}"))
    assert bare["error"] == "invalid_client"
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=thief"
    thief = f"cd /dev/shm && {make} -keyout thief.key -out thief.crt 2>/dev/null"
    foreign = stage.tried(
        *("-n", "shop", "exec", "deployment/workload", "--", "sh", "-c"),
        f"{thief} && curl -sS --cacert /credential/ca.crt --cert thief.crt --key thief.key {form} {endpoint}",
    )
    assert foreign.returncode != 0 or json.loads(foreign.stdout)["error"] == "invalid_client"
    token = json.loads(curl(stage, TOKEN))["access_token"]
    stolen = f"curl -sS --cacert /resource/tls.crt -H 'Authorization: Bearer {token}' https://orders.shop.svc/orders"
    refused = stage.tried("-n", "shop", "exec", "deployment/workload", "--", "sh", "-c", stolen)
    assert refused.returncode != 0
    assert "client" not in refused.stdout


def test_pod_certificate(stage: Stage, transcript: Transcript, say: Say) -> None:
    """A pod in a namespace without any Secret gets its certificate from the kubelet, and a token with it."""
    served = stage.tried("get", "podcertificaterequests.certificates.k8s.io", "--all-namespaces")
    if served.returncode != 0:
        pytest.skip("this Kubernetes serves no PodCertificateRequests")
    manifest = [one for one in yaml.safe_load_all(POD_CERTIFICATE.read_text()) if one]
    [pod] = [one for one in manifest if one["kind"] == "Pod"]
    pod["spec"]["containers"][0] |= {"image": WORKLOAD_IMAGE, "imagePullPolicy": "Never"}
    stage.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(manifest))
    began = time.monotonic()
    stage.kubectl("-n", "vault", "wait", "--for=condition=Ready", "--timeout=60s", "pod/billing")
    stage.kubectl("-n", "vault", "wait", "--for=condition=Ready", "--timeout=30s", "oauthclient/billing")
    say(f"the pod runs after {time.monotonic() - began:.1f} s")
    assert not stage.kubectl("-n", "vault", "get", "secrets", "-o", "name")
    transcript.say("After `kubectl apply -f docs/examples/pod-certificate.yaml`, in a namespace without any Secret:")
    transcript.show("kubectl -n vault get secrets")
    endpoint = f"https://mintls-issuer.{SYSTEM}.svc:9443/token"
    ask = (
        "curl -sS --cert /credential/tls.crt --key /credential/tls.key --cacert /credential/ca.crt"
        f" -d grant_type=client_credentials -d client_id=vault:billing {endpoint}"
    )

    def answer() -> dict[str, Any]:
        return dict(json.loads(stage.kubectl("-n", "vault", "exec", "billing", "--", "sh", "-c", ask)))

    assert answer()["scope"] == "orders.read"
    stage.kubectl("-n", "vault", "delete", "oauthclient", "billing")
    poll(lambda: answer().get("error") == "invalid_client", seconds=5)
    # A service account asks for itself, too: with a key of its own, which the cluster never sees.
    stage.kubectl("create", "clusterrole", "csr", "--verb=create", "--resource=certificatesigningrequests")
    stage.kubectl("create", "clusterrolebinding", "csr", "--clusterrole=csr", "--serviceaccount=shop:billing-app")
    accounts = json.dumps({"spec": {"serviceAccounts": [{"name": "billing-app"}]}})
    stage.kubectl("-n", "shop", "patch", "oauthclient/billing", "--type=merge", "--patch", accounts)
    request = json.dumps(signing_request(ec_key(), "account"))
    stage.kubectl("create", "--as=system:serviceaccount:shop:billing-app", "-f", "-", stdin=request)
    poll(lambda: stage.kubectl("get", "csr/account", "-o", "jsonpath={.status.certificate}"), seconds=20)
    stage.kubectl("delete", "namespace", "vault", "--wait=false")


def test_step_ca(stage: Stage, tmp_path: Path, say: Say, pytestconfig: pytest.Config) -> None:
    """step-ca in a pod signs; a workload gets a token with that, over a restart of step-ca and a renewal."""
    with uncaptured(pytestconfig):
        program = ensure_step_ca(Progress())
    write_archive(tmp_path / "step-ca.tar", "docker.io/library/mintls-e2e-step-ca:1", program)
    stage.load(tmp_path / "step-ca.tar")
    made = StepCA.make_for_pod(program, tmp_path / "step-ca", "step-ca.ledger.svc", "/config")
    stage.kubectl("create", "namespace", "ledger")
    stage.kubectl("label", "namespace", "ledger", "pod-security.kubernetes.io/enforce=restricted")
    stage.kubectl("-n", "ledger", "create", "secret", "generic", "step-ca-config", f"--from-file={made.folder}")
    stage.kubectl("-n", SYSTEM, "create", "secret", "generic", "step-ca", f"--from-literal=password={PASSWORD}")
    stage.kubectl("-n", SYSTEM, "label", "secret", "step-ca", "mintls.dev/authority=step")
    kind = {"apiVersion": "mintls.dev/v1alpha1", "kind": "CertificateAuthority", "metadata": {"name": "step"}}
    began = time.monotonic()
    stage.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(kind | {"spec": made.spec()}))
    stage.kubectl("apply", "-f", str(PODS / "step-ca.yaml"))
    wait = ("wait", "--for=condition=Ready", "--timeout=90s")
    stage.kubectl(*wait, "certificateauthority/step")
    stage.kubectl("-n", "ledger", *wait, "oauthclient/ledger", "clientcertificate/ledger", "pod/ledger")
    say(f"ready after {time.monotonic() - began:.1f} s")

    def token_of() -> str:
        return str(json.loads(stage.kubectl("-n", "ledger", "exec", "ledger", "--", "sh", "-c", TOKEN))["access_token"])

    claims = json.loads(base64.urlsafe_b64decode(token_of().split(".")[1] + "=="))
    assert claims["client_id"] == "ledger:ledger"
    issuer = "openssl x509 -in /credential/tls.crt -noout -issuer"
    assert "Example Intermediate" in stage.kubectl("-n", "ledger", "exec", "ledger", "--", "sh", "-c", issuer)

    def serial() -> str:
        return str(stage.get("-n", "ledger", "clientcertificate", "ledger")["status"]["serialNumber"])

    before = serial()
    stage.kubectl("-n", "ledger", "rollout", "restart", "deployment/step-ca")
    stage.kubectl("-n", "ledger", "rollout", "status", "deployment/step-ca", "--timeout=60s")
    asked = "mintls.dev/renew-requested-at=now"
    stage.kubectl("-n", "ledger", "annotate", "clientcertificate", "ledger", asked)
    poll(lambda: serial() != before, seconds=90)
    assert token_of()

    stage.kubectl("delete", "namespace", "ledger", "--timeout=60s")
    stage.kubectl("delete", "certificateauthority", "step")
    stage.kubectl("-n", SYSTEM, "delete", "secret", "step-ca")


def test_revocation(stage: Stage, say: Say) -> None:
    """A revoked token counts no more at any replica; what has expired is swept."""
    token = json.loads(curl(stage, TOKEN))["access_token"]
    question = f'--data client_id="$(cat /credential/client-id)" --data token={token}'
    mtls = "curl -sS --cert /credential/tls.crt --key /credential/tls.key --cacert /credential/ca.crt"
    base = f"https://mintls-issuer.{SYSTEM}.svc:9443"

    def active() -> bool:
        return bool(json.loads(curl(stage, f"{mtls} {question} {base}/introspect"))["active"])

    assert active()
    curl(stage, f"{mtls} {question} {base}/revoke")
    poll(lambda: not any(active() for _ in range(8)), seconds=10)
    expired = {
        "apiVersion": "mintls.dev/v1alpha1",
        "kind": "SpentIdentifier",
        "metadata": {"name": "long-ago", "namespace": SYSTEM},
        "spec": {"use": "accessToken", "clientID": "shop:billing", "expires": "2026-01-01T00:00:00Z"},
    }
    stage.kubectl("apply", "-f", "-", stdin=json.dumps(expired))
    poll(lambda: not stage.kubectl("-n", SYSTEM, "get", "spent", "long-ago", "--ignore-not-found"), seconds=90)
    say("revoked, and an expired one swept")


REFUSED = """
apiVersion: mintls.dev/v1alpha1
kind: OAuthClient
metadata: {name: greedy, namespace: shop}
spec:
  scopes: [orders.read]
  audiences: ["https://orders.shop.svc"]
  tlsClientAuth: {sanURI: spiffe://cluster.local/ns/bank/client/vault}
---
apiVersion: mintls.dev/v1alpha1
kind: ClientCertificate
metadata: {name: orphan, namespace: shop}
spec: {clientRef: {name: nobody}, secretName: orphan-mtls}
"""


CONDITIONS = """-o jsonpath='{range .status.conditions[*]}{.type}={.status} {.reason}: {.message}{"\\n"}{end}'"""


def test_what_people_see(stage: Stage, transcript: Transcript) -> None:
    """What kubectl shows of what is well and of what is not, for the transcript."""
    transcript.say("After `helm install` and `kubectl apply -f docs/examples/quickstart.yaml`:")
    transcript.show("kubectl get certificateauthorities,oauthclients,clientcertificates --all-namespaces")
    transcript.show("kubectl -n shop describe clientcertificate billing")
    transcript.show("kubectl mintls status -n shop")
    transcript.show("kubectl mintls inspect billing-mtls -n shop")
    transcript.show("kubectl mintls token billing-mtls -n shop --scope orders.read")
    transcript.say("What the issuer's audit log says of a token, and of a request without a certificate:")
    audit = (
        'kubectl -n mintls-system logs -l app.kubernetes.io/name=mintls-issuer --tail=-1 | grep \'"endpoint":"token"\''
    )
    transcript.show(f"{audit} | grep granted | tail -n 1")
    transcript.show(f"{audit} | grep no_certificate | tail -n 1")
    transcript.say(
        "A client that claims a name of another namespace, and a certificate for a client that is not there: both are "
        "admitted, and told why nothing comes of it."
    )
    stage.kubectl("apply", "-f", "-", stdin=REFUSED)
    stage.kubectl("-n", "shop", "wait", "--for=condition=Ready=False", "--timeout=30s", "oauthclient/greedy")
    stage.kubectl("-n", "shop", "wait", "--for=condition=Ready=False", "--timeout=30s", "clientcertificate/orphan")
    transcript.show("kubectl -n shop get oauthclients,clientcertificates")
    transcript.show("kubectl mintls status -n shop")
    transcript.show(f"kubectl -n shop get oauthclient greedy {CONDITIONS}")
    transcript.show(f"kubectl -n shop get clientcertificate orphan {CONDITIONS}")
    stage.kubectl("delete", "-f", "-", stdin=REFUSED)


def test_rotation(stage: Stage, say: Say) -> None:
    """Three renewals of a certificate under a loop that re-reads its Secret: no request fails."""
    with under_load(stage) as grown:
        for _ in range(RENEWALS):
            serial, seen = serial_of(stage), counted(stage)["certificates"]
            stage.kubectl(
                *("-n", "shop", "annotate", "--overwrite", "clientcertificate/billing"),
                f"mintls.dev/rekey-requested-at={time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}",
            )
            poll(lambda serial=serial: serial_of(stage) != serial)
            poll(lambda seen=seen: counted(stage)["certificates"] > seen, seconds=90)
    say(f"{grown['certificates']} certificates, {summary(grown)}")
    assert grown["certificates"] == RENEWALS


def test_what_people_see_of_a_rotation(transcript: Transcript) -> None:
    """The events of the rotations, for the transcript."""
    transcript.say("After three renewals that were asked for:")
    chosen = "--field-selector involvedObject.kind=ClientCertificate,involvedObject.name=billing"
    shown = "--sort-by=.metadata.creationTimestamp -o custom-columns=TYPE:.type,REASON:.reason,MESSAGE:.message"
    transcript.show(f"kubectl -n shop get events {chosen} {shown}")
    transcript.show("kubectl -n mintls-system logs deployment/mintls-operator | grep Issued | tail -n 1")
    transcript.say("And one more, by hand:")
    transcript.show("kubectl mintls renew billing -n shop")


def test_loss_and_restore(stage: Stage, transcript: Transcript, say: Say) -> None:
    """The root's key is deleted and brought back from a backup under load: renewals wait, and no request fails."""
    backup = stage.kubectl("-n", SYSTEM, "get", "secret", "mintls-authority-default-root", "-o", "yaml")
    authority = "certificateauthority/default"
    with under_load(stage) as grown:
        stage.kubectl("-n", SYSTEM, "delete", "secret", "mintls-authority-default-root")
        stage.kubectl("wait", "--for=condition=Ready=False", "--timeout=30s", authority)
        transcript.say(
            "The Secret with the root's key was deleted. Nothing can be renewed, and what was issued is good:"
        )
        transcript.show("kubectl get certificateauthority default")
        transcript.show("kubectl mintls renew billing -n shop --timeout 10")
        transcript.show("kubectl -n shop get clientcertificate billing")
        transcript.show(f"kubectl -n shop get clientcertificate billing {CONDITIONS}")
        transcript.show("kubectl mintls status -n shop")
        transcript.show("kubectl mintls token billing-mtls -n shop | tail -n 1")
        serial, began = serial_of(stage), time.monotonic()
        stage.kubectl("create", "-f", "-", stdin=backup)
        stage.kubectl("wait", "--for=condition=Ready", "--timeout=30s", authority)
        poll(lambda: serial_of(stage) != serial, seconds=30)
        say(f"renewed {time.monotonic() - began:.1f} s after the restore")
        transcript.say("After `kubectl create -f root.yaml`, the renewal that was asked for is done:")
        transcript.show("kubectl get certificateauthority default")
        transcript.show(f"kubectl -n shop get clientcertificate billing {CONDITIONS}")
    say(summary(grown))


CERTIFICATES = 200


def test_root_rotation(stage: Stage, transcript: Transcript, say: Say) -> None:
    """Another root for 200 certificates under load: trusted first, used later, and no request fails."""
    spec = {"clientRef": {"name": "billing"}}
    fleet = [
        {
            "apiVersion": "mintls.dev/v1alpha1",
            "kind": "ClientCertificate",
            "metadata": {"name": f"fleet-{number}", "namespace": "shop", "labels": {"fleet": "yes"}},
            "spec": spec | {"secretName": f"fleet-{number}"},
        }
        for number in range(CERTIFICATES)
    ]
    stage.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": fleet}))
    chosen = ("-n", "shop", "clientcertificate", "-l", "fleet=yes")
    stage.kubectl("wait", *chosen, "--for=condition=Ready", "--timeout=60s")
    # A mounted Secret or ConfigMap follows within the kubelet's period: a minute and a half at the most, and less here.
    settled = "20s" if stage.cluster.provider == embedded.NAME else "100s"
    root = {"trustBeforeUse": settled, "reissueWithin": "20s"}
    stage.kubectl(
        *("patch", "certificateauthority", "default", "--type=merge"),
        *("--patch", json.dumps({"spec": {"selfSigned": {"root": root}}})),
    )
    before, known = serials(stage), counted(stage)["certificates"]
    began = time.monotonic()
    with under_load(stage) as grown:
        transcript.say("Another root, for 200 certificates:")
        transcript.show("kubectl mintls rotate-root --yes")
        say(f"signs after {time.monotonic() - began:.0f} s")
        poll(lambda: rotation(stage).get("phase") == "Retiring", seconds=90)
        say(f"{CERTIFICATES} reissued after {time.monotonic() - began:.0f} s")
        transcript.show("kubectl get certificateauthority default")
        # The workload has read the new certificate, and shows it to a resource server that trusted its root before.
        poll(lambda: counted(stage)["certificates"] > known, seconds=100)
    say(summary(grown))
    assert not before & serials(stage)
    # The client's own names are those of before; the old root is trusted until the last of the old leaves has ended.
    assert [key["role"] for key in stage.get("certificateauthority", "default")["status"]["keys"]] == [
        "active",
        "retiring",
    ]
    stage.kubectl("delete", *chosen[:2], "clientcertificate", "-l", "fleet=yes", "--wait=false")


def serials(stage: Stage) -> set[str]:
    items = stage.get("-n", "shop", "clientcertificates", "-l", "fleet=yes")["items"]
    return {one["status"]["serialNumber"] for one in items}


def rotation(stage: Stage) -> dict[str, Any]:
    found: dict[str, Any] = stage.get("certificateauthority", "default")["status"].get("rotation") or {}
    return found


def serial_of(stage: Stage) -> str:
    return str(stage.get("-n", "shop", "clientcertificate/billing")["status"]["serialNumber"])


def summary(grown: dict[str, Any]) -> str:
    retried = "".join(f"; {count} times {reason}" for reason, count in grown["retried"].items())
    return f"{grown['tokens']} tokens, {grown['retries']} connection retries, {grown['failures']} failures{retried}"


def test_kill_each_pod(stage: Stage, say: Say) -> None:
    """Each pod killed in turn under load: connections are tried again, no request fails."""
    with under_load(stage) as grown:
        for pod in [*pods_of(stage, "operator"), *pods_of(stage, "issuer")]:
            stage.kubectl("-n", SYSTEM, "delete", pod, "--grace-period=0", "--force")
            time.sleep(1)
            rolled_out(stage)
    say(summary(grown))


def test_restart_of_the_control_plane(stage: Stage, say: Say) -> None:
    """API server, etcd, controllers and scheduler killed and started again under load: no request fails."""
    with under_load(stage) as grown:
        stage.restart()
        rolled_out(stage)
    say(summary(grown))
    stage.kubectl("apply", "-f", "-", stdin=QUICKSTART.read_text().replace("billing", "shipping"))
    stage.kubectl("-n", "shop", "wait", "--for=condition=Ready", "--timeout=60s", "oauthclient/shipping")


def test_upgrade_and_rollback(stage: Stage, say: Say) -> None:
    """helm upgrade and helm rollback replace every pod under load: no request fails, and nothing else changes."""
    kept = unchanging(stage)
    with under_load(stage) as grown:
        change = "--set=operator.podAnnotations.example=one,issuer.podAnnotations.example=one"
        stage.helm.run("upgrade", "mintls", CHART, change, "--wait", "--timeout=120s")
        stage.helm.run("rollback", "mintls", "1", "--wait", "--timeout=120s")
    say(summary(grown))
    assert unchanging(stage) == kept


def unchanging(stage: Stage) -> dict[str, Any]:
    """What no upgrade may touch: specs of the objects, key Secrets, credentials."""
    secrets = stage.get("secrets", "--all-namespaces", "--selector=app.kubernetes.io/managed-by=mintls")["items"]
    kinds = ("oauthclients", "clientcertificates", "certificateauthorities")
    objects = [one for kind in kinds for one in stage.get(f"{kind}.mintls.dev", "--all-namespaces")["items"]]
    assert secrets
    return {one["metadata"]["uid"]: one["data"] for one in secrets if "tls" not in one["metadata"]["name"]} | {
        one["metadata"]["uid"]: one["spec"] for one in objects
    }


def test_two_operators(stage: Stage, say: Say) -> None:
    """Of two operators one leads; when its pod is deleted by force, the other renews in its place."""
    stage.helm.run("upgrade", "mintls", CHART, "--set=operator.replicas=2", "--wait", "--timeout=120s")
    poll(lambda: len(pods_of(stage, "operator")) == 2)
    leader = poll(lambda: leading(stage))
    with under_load(stage) as grown:
        began = time.monotonic()
        stage.kubectl("-n", SYSTEM, "delete", f"pod/{leader}", "--grace-period=0", "--force")
        poll(lambda: leading(stage) not in ("", leader))
        serial = serial_of(stage)
        stage.kubectl(
            *("-n", "shop", "annotate", "--overwrite", "clientcertificate/billing"),
            f"mintls.dev/rekey-requested-at={time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}",
        )
        poll(lambda: serial_of(stage) != serial)
        say(f"renewed {time.monotonic() - began:.1f} s after that")
    say(summary(grown))


def leading(stage: Stage) -> str:
    """The pod that holds the Lease now."""
    spec = stage.get("-n", SYSTEM, "lease/mintls-operator")["spec"]
    return str(spec.get("holderIdentity") or "").rpartition("_")[0]


def test_eviction(stage: Stage) -> None:
    """A drain takes away one replica of each component, and not the next before there is another."""
    for component in ("operator", "issuer"):
        rolled_out(stage)
        budget = ("-n", SYSTEM, f"poddisruptionbudget/mintls-{component}")
        poll(lambda budget=budget: stage.get(*budget)["status"]["disruptionsAllowed"] == 1)
        first, second = (pod.removeprefix("pod/") for pod in pods_of(stage, component))
        assert evicted(stage, first).returncode == 0
        refused = evicted(stage, second)
        assert refused.returncode != 0
        assert "disruption budget" in refused.stderr
    rolled_out(stage)


def evicted(stage: Stage, pod: str) -> subprocess.CompletedProcess[str]:
    body = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod, "namespace": SYSTEM}}
    path = f"/api/v1/namespaces/{SYSTEM}/pods/{pod}/eviction"
    return subprocess.run(
        [stage.cluster.kubectl_path, "create", "--raw", path, "-f", "-"],
        input=json.dumps(body),
        env=stage.cluster.environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_namespace_deletion(stage: Stage, say: Say) -> None:
    """A namespace with a client goes at once, also while no operator runs."""
    other = QUICKSTART.read_text().replace("shop", "store")
    stage.kubectl("apply", "-f", "-", stdin=other)
    stage.kubectl("-n", "store", "wait", "--for=condition=Ready", "--timeout=30s", "oauthclient/billing")
    stage.kubectl("-n", SYSTEM, "scale", "deployment/mintls-operator", "--replicas=0")
    poll(lambda: not pods_of(stage, "operator"))
    began = time.monotonic()
    stage.kubectl("delete", "namespace", "store", "--timeout=60s")
    say(f"gone after {time.monotonic() - began:.1f} s")


def test_uninstall_and_install_again(stage: Stage, say: Say) -> None:
    """helm uninstall with the operator dead already, then helm install: kinds, keys and clients are where they were."""
    kept = unchanging(stage)
    stage.helm.run("uninstall", "mintls", "--wait", "--timeout=60s")
    poll(lambda: not stage.kubectl("-n", SYSTEM, "get", "pods", "-o", "name"))
    assert unchanging(stage) == kept
    before = counted(stage)["tokens"]
    began = time.monotonic()
    stage.helm.run("install", "mintls", CHART, "--wait", "--timeout=60s")
    say(f"ready after {time.monotonic() - began:.1f} s")
    poll(lambda: counted(stage)["tokens"] > before)
    assert unchanging(stage) == kept


def test_deletion_of_the_client(stage: Stage) -> None:
    """A client that is deleted gets no more tokens, and its Secret goes with its certificate."""
    stage.kubectl("-n", "shop", "scale", "deployment/load", "--replicas=0")
    assert "access_token" in curl(stage, TOKEN)
    stage.kubectl("-n", "shop", "delete", "oauthclient/billing", "clientcertificate/billing")
    poll(lambda: json.loads(curl(stage, TOKEN)).get("error") == "invalid_client", seconds=5)
    poll(lambda: not stage.kubectl("-n", "shop", "get", "secret", "billing-mtls", "--ignore-not-found"))


def test_damaged_intermediate(stage: Stage) -> None:
    """An intermediate whose Secret was overwritten is replaced; the root stays, and clients get tokens again."""
    root = stage.get("-n", SYSTEM, "secret/mintls-authority-default-root")["data"]
    name = "secret/mintls-authority-default-intermediate"
    stage.kubectl("-n", SYSTEM, "patch", name, "--patch", json.dumps({"stringData": {"tls.crt": "damaged"}}))
    poll(lambda: "CERTIFICATE" in base64.b64decode(stage.get("-n", SYSTEM, name)["data"]["tls.crt"]).decode())
    assert stage.get("-n", SYSTEM, "secret/mintls-authority-default-root")["data"] == root
    stage.kubectl("apply", "-f", str(QUICKSTART))
    stage.kubectl("-n", "shop", "wait", "--for=condition=Ready", "--timeout=60s", "clientcertificate/billing")


def test_trust_bundle(stage: Stage) -> None:
    """The trust bundle comes to a selected namespace, is put right, and goes; one of somebody else's is left alone."""
    select = {"spec": {"trustBundle": {"namespaceSelector": {"matchLabels": {"trust": "mintls"}}}}}
    stage.kubectl("patch", "certificateauthority", "default", "--type=merge", "--patch", json.dumps(select))
    stage.kubectl("create", "namespace", "reader")
    stage.kubectl("label", "namespace", "reader", "trust=mintls")

    def bundle() -> str:
        return stage.kubectl(
            "-n", "reader", "get", "configmap", "mintls-trust-bundle", "--ignore-not-found", "-o", "yaml"
        )

    poll(lambda: "BEGIN CERTIFICATE" in bundle(), seconds=10)
    damage = json.dumps({"data": {"ca.crt": "damaged"}})
    stage.kubectl("-n", "reader", "patch", "configmap", "mintls-trust-bundle", "--type=merge", "--patch", damage)
    poll(lambda: "damaged" not in bundle(), seconds=10)
    stage.kubectl("label", "namespace", "reader", "trust-")
    poll(lambda: not bundle(), seconds=10)
    stage.kubectl(
        "-n", "reader", "create", "configmap", "mintls-trust-bundle", "--from-literal=ca.crt=of-somebody-else"
    )
    stage.kubectl("label", "namespace", "reader", "trust=mintls")
    time.sleep(2)
    assert "of-somebody-else" in bundle()


def test_every_right_is_used_and_none_is_missing(stage: Stage) -> None:
    """Of the rights of both accounts each was used in this story, and nothing was forbidden (the API's audit log)."""
    assert rights.unused(stage.cluster) == set(), "given, and never used"
    assert rights.missing(stage.cluster) == set(), "asked for, and not given"


def test_no_drift(stage: Stage) -> None:
    """After all this, the objects of the release are as Helm rendered them: there is nothing to put right."""
    manifest = stage.helm.run("get", "manifest", "mintls")
    differs = stage.tried(
        "diff", "--server-side", "--field-manager=helm", "--force-conflicts", "-f", "-", stdin=manifest
    )
    assert (differs.returncode, differs.stdout) == (0, ""), differs.stderr


def test_transcript(transcript: Transcript) -> None:
    """What people saw in this story is what docs/transcript.md shows."""
    if os.environ.get(WRITES):
        DOCUMENT.write_text(transcript.text())
    assert masked(transcript.text()) == masked(DOCUMENT.read_text()), "if it is better now: make e2e TRANSCRIPT=1"
