"""The chart's rights, used: operator and issuer run as its service accounts through all that they do."""

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from builders import rights
from builders.helm import CHART, SYSTEM, Helm
from builders.pki import authority, ec_key
from builders.servicerequests import pod_certificate_request, signing_request
from builders.waiting import poll
from builders.world import REPOSITORY, free_port
from clusterlib.certmanager import cert_manager_kinds
from clusterlib.cluster import Cluster
from clusterlib.progress import Silent

pytestmark = pytest.mark.cluster

QUICKSTART = REPOSITORY / "docs" / "examples" / "quickstart.yaml"


@pytest.fixture(scope="module")
def released(admin: Helm, bare: Cluster) -> Iterator[Cluster]:
    """The chart without pods: its programs run here, with its arguments and its service accounts."""
    none = "--set=operator.replicas=0,issuer.replicas=0,crds.keep=false"
    more = "--set=operator.restartPods=true,operator.certManager.enabled=true,operator.vaultLogin=true"
    tokens = "--set=issuer.serviceAccountTokens=true"
    registration = "--set=issuer.registration[0].secretName=registration,issuer.registration[0].namespace=partners"
    bare.kubectl("create", "namespace", "partners")
    admin.run("install", "mintls", CHART, "--create-namespace", none, more, tokens, registration)
    bare.kubectl("apply", "--server-side", "-f", str(cert_manager_kinds(Silent())))
    yield bare
    admin.run("uninstall", "mintls", "--wait")
    bare.kubectl("delete", "namespace", "partners")


@contextlib.contextmanager
def running(cluster: Cluster, part: str, folder: Path, *own: str) -> Iterator[None]:
    """A program of the chart, from the arguments of its Deployment."""
    find = ("-n", SYSTEM, "get", f"deployment/mintls-{part}", "-o", "jsonpath={..containers[0].args}")
    config = json.loads(cluster.kubectl("config", "view", "--raw", "--minify", "-o", "json"))
    token = cluster.kubectl("-n", SYSTEM, "create", "token", f"mintls-{part}").strip()
    config["users"][0]["user"] = {"token": token}
    kubeconfig = folder / f"{part}.kubeconfig"
    kubeconfig.write_text(json.dumps(config))
    command = [sys.executable, "-m", "mintls", *json.loads(cluster.kubectl(*find)), *own]
    with (folder / f"{part}.log").open("w") as log:
        process = subprocess.Popen(command, env=os.environ | {"KUBECONFIG": str(kubeconfig)}, stdout=log, stderr=log)
        try:
            yield
            assert process.poll() is None, Path(log.name).read_text()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def test_every_right_is_used_and_none_is_missing(released: Cluster, tmp_path: Path) -> None:
    kubectl = released.kubectl

    def exists(*what: str) -> bool:
        return bool(kubectl("get", *what, "--ignore-not-found", "-o", "name"))

    health, probes = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    mtls, plain = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    listeners = ("--address", plain, "--mtls-address", mtls)
    with (
        running(released, "operator", tmp_path, "--health-address", health),
        running(released, "issuer", tmp_path, "--probe-address", probes, *listeners),
    ):
        # An authority, a signing key, the issuer's certificate, a client's, their events and status.
        kubectl("apply", "-f", str(QUICKSTART))
        poll(lambda: exists("-n", "shop", "secret/billing-mtls"), "the credential")
        poll(lambda: exists("-n", SYSTEM, "secret/mintls-issuer-tls"), "the issuer's certificate")
        poll(lambda: "True" in condition(released, "certificateauthority/default"), "the authority is ready")

        # A token is revoked, and a revocation that has expired is swept.
        kubectl("apply", "-f", "-", stdin=json.dumps(EXPIRED))
        call = caller(released, tmp_path, mtls)
        answer = poll(lambda: call("/token", "grant_type=client_credentials"), "a token")
        token = json.loads(answer)["access_token"]
        assert json.loads(call("/introspect", f"token={token}"))["active"] is True
        assert call("/revoke", f"token={token}") == ""
        assert json.loads(call("/introspect", f"token={token}")) == {"active": False}
        poll(lambda: not exists("-n", SYSTEM, "spentidentifier/long-ago"), "what has expired is swept")

        # A service account's token is reviewed.
        grants = {"grantTypes": ["urn:ietf:params:oauth:grant-type:token-exchange"]}
        kubectl("-n", "shop", "patch", "oauthclient/billing", "--type=merge", "--patch", json.dumps({"spec": grants}))
        jwt = kubectl("create", "token", "default", "--audience", f"https://mintls-issuer.{SYSTEM}.svc:8443").strip()
        exchange = f"grant_type={grants['grantTypes'][0]}&subject_token={jwt}"
        kind = "&subject_token_type=urn:ietf:params:oauth:token-type:jwt"
        assert call("/token", exchange + kind) == "", "the client does not name the account, but it was reviewed"

        # A client is registered at the issuer, read, changed and deleted.
        kubectl("-n", SYSTEM, "create", "secret", "generic", "registration", f"--from-literal=token={INITIAL}")
        register = registrant(tmp_path, plain)
        made = poll(lambda: register("POST", "", INITIAL, "{}"), "a client is registered")
        who = {"client_id": made["client_id"]}
        token = made["registration_access_token"]
        changed = register("PUT", f"/{who['client_id']}", token, json.dumps({**who, "client_name": "Partner"}))
        assert changed["client_name"] == "Partner"
        token = changed["registration_access_token"]
        assert register("GET", f"/{who['client_id']}", token)["client_name"] == "Partner"
        register("DELETE", f"/{who['client_id']}", token)
        assert not exists("-n", "partners", "oauthclients")

        # A pod's request for a certificate, and a service account's; the roots as a ClusterTrustBundle.
        accounts = json.dumps({"spec": {"serviceAccounts": [{"name": "billing-app"}]}})
        kubectl("-n", "shop", "patch", "oauthclient/billing", "--type=merge", "--patch", accounts)
        kubectl("-n", "shop", "create", "-f", "-", stdin=json.dumps(pod_certificate_request(ec_key(), "pod")))
        account = "--as=system:serviceaccount:shop:billing-app"
        kubectl("create", "clusterrole", "csr", "--verb=create", "--resource=certificatesigningrequests")
        kubectl("create", "clusterrolebinding", "csr", "--clusterrole=csr", "--serviceaccount=shop:billing-app")
        kubectl("create", account, "-f", "-", stdin=json.dumps(signing_request(ec_key(), "account")))
        pod = ("-n", "shop", "get", "podcertificaterequest/pod", "-o", "jsonpath={.status.certificateChain}")
        poll(lambda: kubectl(*pod), "the pod's certificate")
        poll(lambda: kubectl("get", "csr/account", "-o", "jsonpath={.status.certificate}"), "the account's certificate")
        poll(lambda: exists("clustertrustbundle/mintls.dev:client:roots"), "the roots")
        wrong = json.dumps({"spec": {"trustBundle": OTHER_ROOT}})
        kubectl("patch", "clustertrustbundle/mintls.dev:client:roots", "--type=merge", "--patch", wrong)
        shown = ("get", "clustertrustbundle/mintls.dev:client:roots", "-o", "jsonpath={.spec.trustBundle}")
        poll(lambda: kubectl(*shown) != OTHER_ROOT, "the roots are put right")

        # A pod that had read the credential of before is restarted.
        kubectl("-n", "shop", "annotate", "clientcertificate/billing", "mintls.dev/restart-pods=true")
        kubectl("apply", "-f", "-", stdin=json.dumps(READER))
        reader = ("-n", "shop", "get", "pods", "-l", "app=reader", "-o", "jsonpath={..metadata.name}")
        poll(lambda: kubectl(*reader), "the pod is made")
        old = kubectl(*reader)
        kubectl("-n", "shop", "patch", "pod", old, "--subresource=status", "--patch", json.dumps(LONG_AGO))
        kubectl("-n", "shop", "annotate", "clientcertificate/billing", "mintls.dev/renew-requested-at=now")
        poll(lambda: old not in kubectl(*reader), "the pod is restarted")

        # A certificate is asked of cert-manager, and denied; a ClusterIssuer that does not exist is looked for.
        kubectl("apply", "-f", "-", stdin=json.dumps(ISSUER))
        ready = ("issuer/corporate", "--subresource=status", "--type=merge", "--patch", condition_of("Ready"))
        kubectl("-n", SYSTEM, "patch", *ready)
        for kind in ("Issuer", "ClusterIssuer"):
            kubectl("apply", "-f", "-", stdin=json.dumps(asking(kind)))
        kubectl("apply", "-f", "-", stdin=json.dumps(ELSEWHERE))
        requests = ("-n", SYSTEM, "get", "certificaterequests", "-o", "name")
        poll(lambda: kubectl(*requests), "the request is made")
        denied = ("--subresource=status", "--type=merge", "--patch", condition_of("Denied"))
        first = kubectl(*requests).split()[0]
        kubectl("-n", SYSTEM, "patch", first, *denied)
        poll(lambda: first not in kubectl(*requests), "the request goes; the next one is another")

        # A token for Vault is had, though nobody is there to show it to.
        kubectl("apply", "-f", "-", stdin=json.dumps(AT_VAULT))
        told = ("get", "certificateauthority/by-vault", "-o", "jsonpath={.status.conditions[0].reason}")
        poll(lambda: kubectl(*told) == "ExternalUnreachable", "Vault is asked")

        # A damaged credential is renewed, a damaged intermediate replaced, a damaged trust bundle put right.
        damage = json.dumps({"stringData": {"tls.crt": "damaged"}})
        kubectl("-n", "shop", "patch", "secret/billing-mtls", "--patch", damage)
        credential = ("-n", "shop", "get", "secret/billing-mtls", "-o", "yaml")
        poll(lambda: "ZGFtYWdlZA==" not in kubectl(*credential), "the credential is renewed")
        kubectl("-n", SYSTEM, "patch", "secret/mintls-authority-default-intermediate", "--patch", damage)
        intermediate = ("-n", SYSTEM, "get", "secret/mintls-authority-default-intermediate", "-o", "yaml")
        poll(lambda: "ZGFtYWdlZA==" not in kubectl(*intermediate), "the intermediate is replaced")
        # A next root is made, and taken away again.
        kubectl("annotate", "certificateauthority/default", "mintls.dev/rotate-root-requested-at=now")
        poll(lambda: exists("-n", SYSTEM, "secret/mintls-authority-default-root-next"), "the next root is made")
        kubectl("annotate", "certificateauthority/default", "mintls.dev/hold-root-rotation=true")
        poll(lambda: not exists("-n", SYSTEM, "secret/mintls-authority-default-root-next"), "the next root goes")
        bundle = ("-n", "reader", "configmap/mintls-trust-bundle")
        select = {"spec": {"trustBundle": {"namespaceSelector": {"matchLabels": {"trust": "mintls"}}}}}
        kubectl("patch", "certificateauthority/default", "--type=merge", "--patch", json.dumps(select))
        kubectl("create", "namespace", "reader")
        kubectl("label", "namespace", "reader", "trust=mintls")
        poll(lambda: exists(*bundle), "the trust bundle comes")
        kubectl("-n", "reader", "patch", *bundle[2:], "--type=merge", "--patch", '{"data":{"ca.crt":"damaged"}}')
        poll(lambda: "damaged" not in kubectl("get", *bundle, "-o", "yaml"), "the trust bundle is put right")
        kubectl("label", "namespace", "reader", "trust-")
        poll(lambda: not exists(*bundle), "the trust bundle goes")

        # A Secret and a ConfigMap of somebody else, whose names are wanted, are looked at and left alone.
        kubectl("-n", "reader", "create", "configmap", "mintls-trust-bundle", "--from-literal=ca.crt=of-somebody-else")
        kubectl("label", "namespace", "reader", "trust=mintls")
        kubectl(
            "-n", "reader", "create", "secret", "generic", "billing-mtls", "--from-literal=tls.crt=of-somebody-else"
        )
        kubectl("apply", "-f", "-", stdin=QUICKSTART.read_text().replace("shop", "reader"))
        poll(
            lambda: "False" in condition(released, "-n", "reader", "clientcertificate/billing"), "the conflict is told"
        )
        time.sleep(2)
    assert rights.unused(released) == set(), "given, and never used"
    assert rights.missing(released) == set(), "asked for, and not given"


OTHER_ROOT = authority("other").bundle
READER = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "reader", "namespace": "shop"},
    "spec": {
        "selector": {"matchLabels": {"app": "reader"}},
        "template": {
            "metadata": {"labels": {"app": "reader"}},
            "spec": {
                "containers": [{"name": "reader", "image": "reader"}],
                "volumes": [{"name": "credential", "secret": {"secretName": "billing-mtls"}}],
            },
        },
    },
}
ISSUER = {
    "apiVersion": "cert-manager.io/v1",
    "kind": "Issuer",
    "metadata": {"name": "corporate", "namespace": SYSTEM},
    "spec": {"selfSigned": {}},
}
ELSEWHERE = {
    "apiVersion": "mintls.dev/v1alpha1",
    "kind": "ClientCertificate",
    "metadata": {"name": "elsewhere", "namespace": "shop"},
    "spec": {"clientRef": {"name": "billing"}, "secretName": "elsewhere", "authorityRef": {"name": "by-issuer"}},
}
AT_VAULT = {
    "apiVersion": "mintls.dev/v1alpha1",
    "kind": "CertificateAuthority",
    "metadata": {"name": "by-vault"},
    "spec": {
        "external": {
            "caBundle": OTHER_ROOT,
            "vault": {"url": "https://localhost:1", "role": "mintls", "auth": {"kubernetes": {"role": "mintls"}}},
        }
    },
}
LONG_AGO = {
    "status": {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [
            {
                "name": "reader",
                "image": "reader",
                "imageID": "",
                "ready": True,
                "restartCount": 0,
                "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}},
            }
        ],
    }
}

EXPIRED = {
    "apiVersion": "mintls.dev/v1alpha1",
    "kind": "SpentIdentifier",
    "metadata": {"name": "long-ago", "namespace": SYSTEM},
    "spec": {"use": "accessToken", "clientID": "shop:billing", "expires": "2026-01-01T00:00:00Z"},
}


def asking(kind: str) -> dict[str, object]:
    """An authority that asks cert-manager."""
    external = {"caBundle": OTHER_ROOT, "certManager": {"issuerRef": {"name": "corporate", "kind": kind}}}
    metadata = {"name": f"by-{kind.lower()}"}
    spec = {"external": external}
    return {"apiVersion": "mintls.dev/v1alpha1", "kind": "CertificateAuthority", "metadata": metadata, "spec": spec}


def condition_of(type_: str) -> str:
    return json.dumps({"status": {"conditions": [{"type": type_, "status": "True", "reason": "test"}]}})


def caller(cluster: Cluster, folder: Path, mtls: str) -> Callable[[str, str], str]:
    """Calls the issuer with curl and the credential of the quickstart's client; "" for whatever is refused."""
    secret = json.loads(cluster.kubectl("-n", "shop", "get", "secret/billing-mtls", "-o", "json"))
    for name, value in secret["data"].items():
        (folder / name).write_bytes(base64.b64decode(value))
    host = f"mintls-issuer.{SYSTEM}.svc"
    files = ("--cert", folder / "tls.crt", "--key", folder / "tls.key", "--cacert", folder / "ca.crt")
    command = ("curl", "-sS", "--fail", *map(str, files), "--connect-to", f"{host}:9443:{mtls}")

    def call(path: str, parameter: str) -> str:
        data = ("-d", "client_id=shop:billing", "-d", parameter, f"https://{host}:9443{path}")
        return subprocess.run([*command, *data], capture_output=True, check=False, text=True).stdout

    return call


INITIAL = "initial-access-token-of-the-partners"


def registrant(folder: Path, plain: str) -> Callable[..., dict[str, str]]:
    """Calls the registration endpoint with curl; nothing for whatever is refused."""
    host = f"mintls-issuer.{SYSTEM}.svc"
    command = ("curl", "-sS", "--fail", "--cacert", str(folder / "ca.crt"), "--connect-to", f"{host}:8443:{plain}")

    def call(method: str, path: str, token: str, metadata: str = "") -> dict[str, str]:
        headers = ("-H", f"Authorization: Bearer {token}", "-H", "Content-Type: application/json")
        body = ("-d", metadata) if metadata else ()
        address = f"https://{host}:8443/register{path}"
        done = subprocess.run(
            [*command, "-X", method, *headers, *body, address], capture_output=True, check=False, text=True
        )
        answer: dict[str, str] = json.loads(done.stdout or "{}")
        return answer

    return call


def condition(cluster: Cluster, *what: str) -> str:
    return cluster.kubectl("get", *what, "-o", 'jsonpath={.status.conditions[?(@.type=="Ready")].status}')
