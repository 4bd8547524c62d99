"""The chart on a real API server: installed, upgraded, rolled back, uninstalled. No node: pods stay pending."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from builders.helm import CHART, SYSTEM, Helm, HelmRefusedError, Object
from builders.waiting import poll
from builders.world import REPOSITORY
from clusterlib.cluster import Cluster

pytestmark = pytest.mark.cluster

FILES = sorted((Path(__file__).parent / "values").glob("*.yaml"))
NAMESPACE = REPOSITORY / "hack" / "manifests" / "namespace.yaml"
QUICKSTART = REPOSITORY / "docs" / "examples" / "quickstart.yaml"
INSTALL_PAGE = REPOSITORY / "docs" / "install.md"
# Kinds of the Prometheus operator, which this cluster lacks; test_render looks at them.
FOREIGN = ("PodMonitor", "ServiceMonitor", "PrometheusRule")


@pytest.fixture(autouse=True)
def restricted_namespace(bare: Cluster) -> None:
    """The operator's namespace, which enforces the Pod Security Standard ``restricted``."""
    bare.kubectl("apply", "-f", str(NAMESPACE))


@pytest.fixture
def released(admin: Helm, bare: Cluster) -> Iterator[str]:
    """The chart, installed as release ``mintls``."""
    yield admin.run("install", "mintls", CHART)
    remove(admin, bare)


def remove(admin: Helm, cluster: Cluster) -> None:
    for release in json.loads(admin.run("list", "--all", "--output", "json")):
        admin.run("uninstall", release["name"], "--wait")
    if left := kinds(cluster):
        cluster.kubectl("delete", "crd", *left)


def kinds(cluster: Cluster) -> list[str]:
    found = cluster.kubectl("get", "crd", "-o", "name").split()
    return [
        name.removeprefix("customresourcedefinition.apiextensions.k8s.io/") for name in found if "mintls.dev" in name
    ]


def get(cluster: Cluster, *arguments: str) -> Object:
    return dict(json.loads(cluster.kubectl("-n", SYSTEM, "get", *arguments, "-o", "json")))


@pytest.mark.parametrize("values", FILES, ids=lambda path: str(path.stem))
def test_the_api_server_takes_every_object(helm: Helm, bare: Cluster, values: Path) -> None:
    rendered = [one for one in helm.template("-f", values) if one["kind"] not in FOREIGN]
    # Rights are also given where clients may be registered, and even a dry run wants the namespace.
    elsewhere = {one["metadata"].get("namespace", SYSTEM) for one in rendered} - {SYSTEM}
    for namespace in elsewhere:
        bare.kubectl("create", "namespace", namespace)
    try:
        answer = bare.kubectl(
            *("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"),
            stdin=yaml.safe_dump_all(rendered),
        )
    finally:
        for namespace in elsewhere:
            bare.kubectl("delete", "namespace", namespace)
    assert answer.count("serverside-applied (server dry run)") == len(rendered)


@pytest.mark.usefixtures("released")
def test_pods_are_let_into_a_restricted_namespace(bare: Cluster) -> None:
    wanted = {"mintls-operator": 1, "mintls-issuer": 2}

    def pods() -> dict[str, int]:
        names = [pod["metadata"]["labels"]["app.kubernetes.io/name"] for pod in get(bare, "pods")["items"]]
        return {name: names.count(name) for name in set(names)}

    poll(lambda: pods() == wanted, "the pods are made")


@pytest.mark.usefixtures("released")
def test_the_rights_are_those_of_the_table_in_the_documents(bare: Cluster) -> None:
    row = r"^\| `(mintls-\w+)` \| (.*?) \| `(.*?)` \| (.*?) \| `(.*?)` \|$"
    table = set(re.findall(row, INSTALL_PAGE.read_text(), re.MULTILINE))
    actual = {
        (account, where, resource, f"`{names}`" if names else "all", verbs)
        for account in ("mintls-operator", "mintls-issuer")
        for where, resource, names, verbs in rights(bare, account)
    }
    assert table == actual, "the table should be:\n" + "\n".join(
        f"| `{a}` | {w} | `{r}` | {n} | `{v}` |" for a, w, r, n, v in sorted(actual, reverse=True)
    )


def rights(cluster: Cluster, account: str) -> Iterator[tuple[str, str, str, str]]:
    """What an account may do beyond what every account may, by the API server's own word."""
    everywhere = listed(cluster, account, "default") - listed(cluster, "default", "default")
    for resource, names, verbs in merged(everywhere):
        yield "everywhere", resource, names, verbs
    here = listed(cluster, account, SYSTEM) - listed(cluster, "default", SYSTEM) - everywhere
    for resource, names, verbs in merged(here):
        yield "own namespace", resource, names, verbs


def merged(found: set[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    places = {(resource, names) for resource, names, _ in found}
    return [
        (resource, names, ", ".join(sorted(verb for r, n, verb in found if (r, n) == (resource, names))))
        for resource, names in sorted(places)
    ]


def listed(cluster: Cluster, account: str, namespace: str) -> set[tuple[str, str, str]]:
    """Resource, names and verb of each right."""
    who = f"system:serviceaccount:{SYSTEM}:{account}"
    text = cluster.kubectl("-n", namespace, "auth", "can-i", "--list", "--as", who, "--no-headers")
    rows = re.findall(r"^(\S+) +\[.*?\] +\[(.*?)\] +\[(.*?)\]$", text, re.MULTILINE)
    assert rows
    return {(resource, ", ".join(names.split()), verb) for resource, names, verbs in rows for verb in verbs.split()}


def test_the_commands_in_the_notes_work(released: str, bare: Cluster) -> None:
    waiting, looking = re.findall(r"^  kubectl (.*)$", released, re.MULTILINE)
    assert waiting == f"-n {SYSTEM} rollout status deployment/mintls-operator deployment/mintls-issuer"
    assert len(get(bare, *waiting.split()[-2:])["items"]) == 2

    [making] = re.findall(r"^kubectl .*?^YAML$", released, re.MULTILINE | re.DOTALL)
    pasted = making.replace("kubectl", str(bare.kubectl_path), 1)
    subprocess.run(["sh", "-ec", pasted], env=bare.environment(), check=True)
    found = bare.kubectl(*looking.split(), "-o", "name")
    assert found.split() == ["oauthclient.mintls.dev/billing", "clientcertificate.mintls.dev/billing"]


def belongings(cluster: Cluster) -> dict[str, str]:
    """The uid of all that must outlive whatever becomes of the release."""
    cluster_wide = "certificateauthority/default"
    items = [
        *get(cluster, "secret/mintls-authority-default-root", "secret/mintls-signing-keys")["items"],
        json.loads(cluster.kubectl("get", cluster_wide, "-o", "json")),
        *json.loads(cluster.kubectl("-n", "shop", "get", "oauthclients,clientcertificates", "-o", "json"))["items"],
    ]
    assert len(items) == 5
    return {f"{one['kind']}/{one['metadata']['name']}": one["metadata"]["uid"] for one in items}


@pytest.fixture
def in_use(released: str, bare: Cluster) -> Iterator[dict[str, str]]:
    """Clients, an authority and keys, as an operator would have made them."""
    del released
    bare.kubectl("apply", "-f", str(QUICKSTART))
    bare.kubectl("apply", "-f", str(REPOSITORY / "hack" / "manifests" / "default-authority.yaml"))
    for name in ("mintls-authority-default-root", "mintls-signing-keys"):
        bare.kubectl("-n", SYSTEM, "create", "secret", "generic", name)
    yield belongings(bare)
    bare.kubectl("-n", SYSTEM, "delete", "secret", "mintls-authority-default-root", "mintls-signing-keys")


def test_upgrade_and_rollback_touch_nothing_that_is_not_the_chart_s(
    in_use: dict[str, str], admin: Helm, bare: Cluster
) -> None:
    admin.run("upgrade", "mintls", CHART, "--set", "operator.replicas=2")
    assert get(bare, "deployment/mintls-operator")["spec"]["replicas"] == 2
    assert belongings(bare) == in_use

    admin.run("rollback", "mintls", "1")
    assert get(bare, "deployment/mintls-operator")["spec"]["replicas"] == 1
    assert belongings(bare) == in_use


def test_what_is_kept_on_uninstall_is_picked_up_by_the_next_install(
    in_use: dict[str, str], admin: Helm, bare: Cluster
) -> None:
    said = admin.run("uninstall", "mintls", "--wait")

    assert "oauthclients.mintls.dev" in said, "Helm names what it kept"
    assert get(bare, "deployments,services,serviceaccounts", "-l", "app.kubernetes.io/part-of=mintls")["items"] == []
    cluster_wide = bare.kubectl("get", "clusterroles,clusterrolebindings", "-l", "app.kubernetes.io/part-of=mintls")
    assert cluster_wide == ""
    assert belongings(bare) == in_use

    admin.run("install", "mintls", CHART)
    assert belongings(bare) == in_use


def test_another_release_takes_the_kinds_over_if_told_to(in_use: dict[str, str], admin: Helm, bare: Cluster) -> None:
    admin.run("uninstall", "mintls", "--wait")

    with pytest.raises(HelmRefusedError, match="invalid ownership metadata"):
        admin.run("install", "tokens", CHART)
    admin.run("install", "tokens", CHART, "--take-ownership")

    assert belongings(bare) == in_use


def test_everything_goes_if_that_is_wanted(admin: Helm, bare: Cluster) -> None:
    admin.run("install", "mintls", CHART, "--set", "crds.keep=false")
    assert len(kinds(bare)) == 4
    admin.run("uninstall", "mintls", "--wait")
    poll(lambda: kinds(bare) == [], "the kinds are gone")


def test_an_upgrade_brings_the_kinds_up_to_date(admin: Helm, bare: Cluster, tmp_path: Path) -> None:
    earlier = tmp_path / "mintls"
    shutil.copytree(CHART, earlier)
    definition = earlier / "files" / "crds" / "mintls.dev_oauthclients.yaml"
    definition.write_text(definition.read_text().replace("- oac\n", "- oldname\n"))
    admin.run("install", "mintls", earlier)
    try:
        admin.run("upgrade", "mintls", CHART)
        names = json.loads(bare.kubectl("get", "crd", "oauthclients.mintls.dev", "-o", "json"))["spec"]["names"]
        assert names["shortNames"] == ["oac"]
    finally:
        remove(admin, bare)
