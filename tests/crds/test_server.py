"""The definitions and the first example as a person meets them: through ``kubectl`` and a real API server."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography import x509

from clusterlib.cluster import Cluster
from clusterlib.errors import KubectlError
from crds.conftest import ROOT
from crds.sample import Json, refused
from crds.server import API_VERSION, Server
from crds.subject_samples import DN
from mintls.api.crd import KINDS
from mintls.core.pki.names import SubjectKind, SubjectName, normalize, normalize_subject

pytestmark = pytest.mark.cluster


def names() -> list[str]:
    return [f"{kind.KIND.plural}.mintls.dev" for kind in KINDS]


class TestDefinitions:
    @pytest.mark.parametrize("name", names())
    def test_it_is_accepted_without_reservation(self, crds: Cluster, name: str) -> None:
        answer = yaml.safe_load(crds.kubectl("get", "crd", name, "-o", "yaml"))
        conditions = {each["type"]: each["status"] for each in answer["status"]["conditions"]}
        assert conditions == {"NamesAccepted": "True", "Established": "True"}

    def test_applying_them_again_changes_nothing(self, crds: Cluster) -> None:
        before = versions(crds)
        crds.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        assert versions(crds) == before

    def test_the_server_publishes_a_description_of_every_field(self, server: Server) -> None:
        schemas = server.get(f"/openapi/v3/apis/{API_VERSION}")["components"]["schemas"]
        ours = {name: schema for name, schema in schemas.items() if name.startswith("dev.mintls.")}
        assert len(ours) >= len(KINDS)
        assert [path for name, schema in ours.items() for path in undescribed(schema, name)] == []

    @pytest.mark.parametrize(
        ("path", "words"),
        [
            ("clientcertificate.spec.renewBefore", ("Left out, a third of it.", "<string>")),
            ("ccert.spec.duration", ("How long a certificate is valid", "Defaults to `24h`.")),
            ("oac.spec.tlsClientAuth.subjectDN", ("RFC 4514", "`CN=billing,OU=shop,O=Example`")),
            ("oauthclient.status.conditions.reason", ("one CamelCase word",)),
            ("mca.status.keys.fingerprint", ("SHA-256 of the root's public key",)),
            (
                "certificateauthority.spec.selfSigned.privateKey.algorithm",
                (
                    "ENUM: ECDSA Ed25519 RSA",
                    "Defaults to `ECDSA`.",
                ),
            ),
        ],
    )
    def test_kubectl_explains(self, crds: Cluster, path: str, words: tuple[str, ...]) -> None:
        explained = " ".join(crds.kubectl("explain", path).split())
        assert [part for part in words if part not in explained] == [], explained


def versions(cluster: Cluster) -> str:
    return cluster.kubectl("get", "crd", *names(), "-o", "jsonpath={.items[*].metadata.resourceVersion}")


def undescribed(schema: Json, path: str) -> Iterator[str]:
    for name, field in schema.get("properties", {}).items():
        below = field.get("items", field)
        if not (field.get("description") or below.get("description")):
            yield f"{path}.{name}"
        if name != "metadata":
            yield from undescribed(below, f"{path}.{name}")


class TestQuickstart:
    def documents(self) -> list[Any]:
        return list(yaml.safe_load_all((ROOT / "docs/examples/quickstart.yaml").read_text()))

    def test_it_is_one_namespace_with_one_client_and_its_certificate(self) -> None:
        namespace, *objects = self.documents()
        assert namespace["kind"] == "Namespace"
        assert [each["kind"] for each in objects] == ["OAuthClient", "ClientCertificate"]
        assert {each["metadata"]["namespace"] for each in objects} == {namespace["metadata"]["name"]}
        assert objects[1]["spec"]["clientRef"]["name"] == objects[0]["metadata"]["name"]

    def test_kubectl_applies_and_shows_it(self, crds: Cluster, server: Server) -> None:
        objects = self.documents()[1:]
        for each in objects:
            each["metadata"]["namespace"] = server.namespace
        crds.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))
        shown = crds.kubectl("get", "mintls", "-n", server.namespace, "-o", "wide")
        assert shown.split("\n\n")[0].splitlines()[0].split() == [
            *("NAME", "CLIENT", "SECRET", "READY", "REASON", "EXPIRES", "RENEWAL", "REVISION", "MESSAGE", "AGE")
        ]
        assert shown.split("\n\n")[1].splitlines()[0].split() == [
            *("NAME", "CLIENT", "ID", "READY", "REASON", "IDENTITY", "SUSPENDED", "MESSAGE", "AGE")
        ]
        assert "clientcertificate.mintls.dev/billing" in shown
        assert "oauthclient.mintls.dev/billing" in shown


class TestWords:
    def test_kubectl_says_what_is_wrong_with_a_distinguished_name_and_what_is_right(
        self, crds: Cluster, server: Server
    ) -> None:
        body = {
            "apiVersion": API_VERSION,
            "kind": "OAuthClient",
            "metadata": {"name": "bad", "namespace": server.namespace},
            "spec": {"tlsClientAuth": {"subjectDN": "/CN=billing/O=Example"}},
        }
        with pytest.raises(KubectlError) as refusal:
            crds.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(body))
        words = refused("spec.tlsClientAuth.subjectDN", "/CN=billing/O=Example", DN)
        assert str(refusal.value).endswith(f'The OAuthClient "bad" is invalid: {words}')

    def test_kubectl_refuses_a_misspelt_field(self, crds: Cluster, server: Server) -> None:
        body = {"apiVersion": API_VERSION, "kind": "OAuthClient", "metadata": {"name": "bad"}, "spec": {"scope": ["a"]}}
        with pytest.raises(KubectlError, match=r'strict decoding error: unknown field "spec.scope"'):
            crds.kubectl("apply", "-n", server.namespace, "-f", "-", stdin=yaml.safe_dump(body))


# What openssl prints is what people paste.
SUBJECTS = (
    "/C=DE/O=Example, Inc./OU=shop/CN=billing",
    "/DC=net/DC=example/UID=jsmith+CN=John Smith",
    "/O=株式会社/CN=Lučić",
    "/CN= leading, trailing and #hash ",
    '/CN=#1+OU=a"b<c>d;e\\\\f',
    "/1.3.6.1.4.1.1466.0=unnamed/CN=x",
    "/emailAddress=billing@shop.example/serialNumber=01/CN=x=y",
    "/CN=tab\tand\x01control",
    "/street=Main Street 1/postalCode=1/GN=G/SN=S/title=T/initials=I/dnQualifier=Q/pseudonym=P/CN=x",
)


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("key") / "key.pem"
    openssl("genpkey", "-algorithm", "ed25519", "-out", str(path))
    return path


def openssl(*arguments: str) -> str:
    return subprocess.run(["openssl", *arguments], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("subject", SUBJECTS)
@pytest.mark.parametrize("style", ["RFC2253", "RFC2253,utf8,-esc_msb", "RFC2253,dump_all"])
def test_the_subject_as_openssl_prints_it_is_taken_and_names_that_certificate(
    server: Server, key: Path, subject: str, style: str
) -> None:
    made = ("req", "-x509", "-utf8", "-multivalue-rdn", "-key", str(key), "-subj", subject, "-days", "1")
    path = key.with_name("crt.pem")
    path.write_text(openssl(*made))
    printed = openssl("x509", "-in", str(path), "-noout", "-subject", "-nameopt", style)
    name = printed.removesuffix("\n").removeprefix("subject=")
    body = {
        "apiVersion": API_VERSION,
        "kind": "OAuthClient",
        "metadata": {"name": "dn"},
        "spec": {"tlsClientAuth": {"subjectDN": name}},
    }
    assert server.create(body).errors == (), name
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    assert normalize(SubjectName(SubjectKind.SUBJECT_DN, name)) == normalize_subject(certificate.subject), name
