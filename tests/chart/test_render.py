"""What `helm lint` and `helm template` make of the chart."""

import re
import shutil
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from builders.helm import CHART, SYSTEM, Helm, HelmRefusedError, container, named, pods
from builders.world import REPOSITORY
from mintls.cli.main import main

pytestmark = pytest.mark.cluster  # Helm is built from its Go module, which the cluster's tests need too

FILES = sorted((Path(__file__).parent / "values").glob("*.yaml"))
EVERYTHING = next(path for path in FILES if path.stem == "everything")
ALL = pytest.mark.parametrize(
    "values", [[], *(["-f", path] for path in FILES)], ids=["defaults", *(p.stem for p in FILES)]
)


@ALL
def test_nothing_is_wrong_with_it(helm: Helm, values: list[Any]) -> None:
    assert "[WARNING]" not in helm.run("lint", "--strict", CHART, *values)


@ALL
def test_rendering_twice_gives_the_same_bytes(helm: Helm, values: list[Any]) -> None:
    assert helm.run("template", "mintls", CHART, *values) == helm.run("template", "mintls", CHART, *values)


def test_nothing_but_the_labels_says_what_the_release_is_called(helm: Helm) -> None:
    other = helm.run("template", "tokens", CHART, "-f", EVERYTHING)
    renamed = other.replace("instance: tokens", "instance: mintls")
    assert renamed == helm.run("template", "mintls", CHART, "-f", EVERYTHING)


@ALL
def test_every_object_says_where_it_belongs(helm: Helm, values: list[Any]) -> None:
    for one in helm.template(*values):
        cluster_wide = one["kind"] in {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}
        # The rights to register clients are given where the clients will be.
        place = "shop" if one["metadata"]["name"] == "mintls-issuer-registration" else SYSTEM
        assert one["metadata"].get("namespace") == (None if cluster_wide else place), one["metadata"]["name"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("operator.replicas=-1", "at '/operator/replicas': minimum: got -1, want 0"),
        ("issuer.replicas=two", "at '/issuer/replicas': got string, want integer"),
        ("operator.verbosity=3", "at '/operator/verbosity': maximum: got 3, want 2"),
        ("replicas=2", "additional properties 'replicas' not allowed"),
        ("issuer.replica=2", "at '/issuer': additional properties 'replica' not allowed"),
        ("image.pullPolicy=Sometimes", "value must be one of 'Always', 'IfNotPresent', 'Never'"),
        ("issuer.service.type=ExternalName", "value must be one of 'ClusterIP', 'NodePort', 'LoadBalancer'"),
        (
            "issuer.url=http://tokens.example.com",
            'issuer.url: "http://tokens.example.com" must be a URL that begins with',
        ),
        ("issuer.mtlsURL=https://tokens.example.com/", "no slash at its end, such as https://tokens.example.com"),
        ("trustDomain=Example.com.", "must be a domain in lower case without a dot at its end, such as cluster.local"),
        ("image.digest=sha256:12", "must be sha256: and 64 hexadecimal digits"),
        ("metrics.podMonitor.interval=fast", "must be a duration with a unit, such as 30s"),
        ("issuer.tracing.endpoint=collector:4318", "must be a URL that begins with http:// or https://"),
        ("issuer.podDisruptionBudget.maxUnavailable=most", "must be a number or a percentage, such as 1 or 25%"),
        (
            "operator.podDisruptionBudget.maxUnavailable=most",
            'operator.podDisruptionBudget.maxUnavailable: "most" must',
        ),
        ("issuer.autoscaling.minReplicas=11", "minReplicas (11) must not be more than maxReplicas (10)"),
        (
            "metrics.podMonitor.enabled=true,metrics.serviceMonitor.enabled=true",
            "everything would be counted twice: enable one of them",
        ),
    ],
)
def test_a_wrong_value_is_refused_with_what_would_be_right(helm: Helm, value: str, message: str) -> None:
    with pytest.raises(HelmRefusedError) as refused:
        helm.template("--set", value)
    assert message in str(refused.value)


def test_the_rights_are_those_that_the_tests_of_the_operator_run_with(helm: Helm) -> None:
    rendered = helm.template()
    for path in ("operator-rbac.yaml", "issuer-rbac.yaml"):
        for wanted in yaml.safe_load_all((REPOSITORY / "hack" / "manifests" / path).read_text()):
            found = named(rendered, wanted["kind"], wanted["metadata"]["name"])
            del found["metadata"]["labels"]
            assert found == wanted


def test_the_rights_to_ask_cert_manager_go_with_the_value(helm: Helm) -> None:
    name = "mintls-operator-cert-manager"
    assert not [one for one in helm.template() if one["metadata"]["name"] == name]
    own = helm.template("--set", "operator.certManager.enabled=true")
    assert named(own, "Role", name)["metadata"]["namespace"] == SYSTEM
    elsewhere = helm.template("--set", "operator.certManager.enabled=true,operator.certManager.namespaces={pki,ca}")
    roles = [one for one in elsewhere if one["kind"] == "Role" and one["metadata"]["name"] == name]
    assert [one["metadata"]["namespace"] for one in roles] == ["pki", "ca"]


def test_the_right_to_make_an_authority_goes_with_the_value(helm: Helm) -> None:
    without = helm.template("--set", "defaultAuthority.create=false")
    verbs = {
        verb
        for rule in named(without, "ClusterRole", "mintls-operator")["rules"]
        for verb in rule["verbs"]
        if "certificateauthorities" in rule["resources"]
    }
    assert verbs == {"list", "watch"}
    assert "--create-authority" not in container(without, "operator")["args"]


def test_the_kinds_are_those_of_the_types_and_stay_when_the_chart_goes(helm: Helm) -> None:
    rendered = [one for one in helm.template() if one["kind"] == "CustomResourceDefinition"]
    assert [one["metadata"].pop("annotations")["helm.sh/resource-policy"] for one in rendered] == ["keep"] * 4
    assert {one["metadata"]["name"]: one for one in rendered} == {
        one["metadata"]["name"]: one
        for path in (REPOSITORY / "crds").glob("*.yaml")
        for one in [yaml.safe_load(path.read_text())]
    }


def test_the_kinds_go_with_the_chart_if_that_is_wanted(helm: Helm) -> None:
    rendered = [one for one in helm.template("--set", "crds.keep=false") if one["kind"] == "CustomResourceDefinition"]
    assert len(rendered) == 4
    assert not any("helm.sh/resource-policy" in one["metadata"].get("annotations", {}) for one in rendered)


def parsed(args: list[str]) -> dict[str, Any]:
    with click.Context(main) as parent:
        command = main.get_command(parent, args[0])
        assert command
        return command.make_context(args[0], args[1:], parent=parent).params


@ALL
def test_both_programs_take_the_arguments_that_they_are_given(helm: Helm, values: list[Any]) -> None:
    rendered = helm.template(*values, "--set", "operator.extraArgs=null,issuer.extraArgs=null")
    operator, issuer = (parsed(container(rendered, one)["args"]) for one in ("operator", "issuer"))
    shared = ("issuer_url", "mtls_url", "trust_domain", "cluster_domain", "operator_namespace")
    assert [operator[name] for name in shared] == [issuer[name] for name in shared]


def test_the_issuer_is_where_its_service_is(helm: Helm) -> None:
    rendered = helm.template("--namespace", "tokens")
    args = parsed(container(rendered, "operator")["args"])
    ports = {port["name"]: port for port in named(rendered, "Service", args["issuer_service"])["spec"]["ports"]}
    assert args["issuer_url"] == f"https://mintls-issuer.tokens.svc:{ports['https']['port']}"
    assert args["mtls_url"] == f"https://mintls-issuer.tokens.svc:{ports['mtls']['port']}"
    assert args["operator_namespace"] == "tokens"


def test_the_containers_listen_where_services_and_probes_look(helm: Helm) -> None:
    rendered = helm.template()
    ports = {
        component: {port["name"]: port["containerPort"] for port in container(rendered, component)["ports"]}
        for component in ("operator", "issuer")
    }
    issuer = parsed(container(rendered, "issuer")["args"])
    assert ports == {
        "operator": {"metrics": int(parsed(container(rendered, "operator")["args"])["health_address"].lstrip(":"))},
        "issuer": {
            "https": int(issuer["open_address"].lstrip(":")),
            "mtls": int(issuer["mtls_address"].lstrip(":")),
            "metrics": int(issuer["probe_address"].lstrip(":")),
        },
    }


def test_a_service_and_its_pods_find_each_other_and_nobody_else(helm: Helm) -> None:
    rendered = helm.template()
    selector = named(rendered, "Service", "mintls-issuer")["spec"]["selector"].items()
    chosen = [name for name, pod in pods(rendered).items() if selector <= pod["metadata"]["labels"].items()]
    assert chosen == ["mintls-issuer"]


def test_a_budget_counts_the_pods_of_its_component_and_no_others(helm: Helm) -> None:
    rendered = helm.template()
    for component in ("operator", "issuer"):
        budget = named(rendered, "PodDisruptionBudget", f"mintls-{component}")["spec"]
        selector = budget["selector"]["matchLabels"].items()
        chosen = [name for name, pod in pods(rendered).items() if selector <= pod["metadata"]["labels"].items()]
        assert (budget["maxUnavailable"], chosen) == (1, [f"mintls-{component}"])
    least = helm.template("-f", next(path for path in FILES if path.stem == "least"))
    assert not [one for one in least if one["kind"] == "PodDisruptionBudget"]


def test_all_that_can_be_said_of_a_pod_arrives_there(helm: Helm) -> None:
    for pod in pods(helm.template("-f", EVERYTHING)).values():
        spec = pod["spec"]
        assert spec["nodeSelector"] == {"kubernetes.io/os": "linux"}
        assert spec["tolerations"] == [{"key": "dedicated", "operator": "Exists"}]
        assert spec["priorityClassName"] == "system-cluster-critical"
        assert "nodeAffinity" in spec["affinity"]
        assert spec["imagePullSecrets"] == [{"name": "registry"}]
        assert (
            spec["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"].items()
            <= pod["metadata"]["labels"].items()
        )
        assert pod["metadata"]["annotations"] == {"example.com/pod": "yes"}
        assert pod["metadata"]["labels"]["example.com/pod"] == "labelled"
        (only,) = spec["containers"]
        assert only["image"] == f"registry.example.com/mintls@sha256:{'0123456789abcdef' * 4}"
        assert {"name": "EXTRA", "value": "1"} in only["env"]
        assert only["args"][-2:] == ["-vv", "--help"]


def test_proxies_become_options_that_the_program_takes(helm: Helm) -> None:
    args = container(helm.template("-f", EVERYTHING), "issuer")["args"]
    assert "--proxy=edge/gateway=client-cert" in args


def test_a_collector_becomes_the_variable_of_opentelemetry_beside_those_that_are_given(helm: Helm) -> None:
    env = container(helm.template("-f", EVERYTHING), "issuer")["env"]
    assert env == [
        {"name": "OTEL_EXPORTER_OTLP_ENDPOINT", "value": "http://otel-collector.monitoring:4318"},
        {"name": "EXTRA", "value": "1"},
    ]
    assert "env" not in container(helm.template(), "issuer")


def test_ext_authz_has_a_port_from_the_service_to_the_program(helm: Helm) -> None:
    rendered = helm.template("-f", EVERYTHING)
    assert "--ext-authz-address=:9444" in container(rendered, "issuer")["args"]
    assert {"name": "ext-authz", "containerPort": 9444} in container(rendered, "issuer")["ports"]
    [port] = [one for one in named(rendered, "Service", "mintls-issuer")["spec"]["ports"] if one["name"] == "ext-authz"]
    assert (port["port"], port["targetPort"]) == (9444, "ext-authz")
    policy = named(rendered, "NetworkPolicy", "mintls-issuer")["spec"]["ingress"][0]["ports"]
    assert {"port": "ext-authz"} in policy
    plain = helm.template()
    assert "ext-authz" not in str([one for one in plain if one["kind"] in {"Deployment", "Service", "NetworkPolicy"}])


def test_registration_grants_become_options_and_rights(helm: Helm) -> None:
    rendered = helm.template("-f", EVERYTHING)
    assert "--registration=registration-shop=shop" in container(rendered, "issuer")["args"]
    assert "--service-account-tokens" in container(rendered, "issuer")["args"]
    assert named(rendered, "Role", "mintls-issuer-registration")["metadata"]["namespace"] == "shop"
    secrets = named(rendered, "Role", "mintls-issuer")["rules"][0]["resourceNames"]
    assert secrets == [
        *("mintls-signing-keys", "mintls-client-signing-keys", "mintls-issuer-tls"),
        *("registration-shop", "registration-partners"),
    ]


def test_nobody_registers_clients_unless_told_so(helm: Helm) -> None:
    assert not any(one["metadata"]["name"] == "mintls-issuer-registration" for one in helm.template())


def test_the_cas_for_clients_keys_are_mounted_where_the_program_looks(helm: Helm) -> None:
    rendered = helm.template("-f", EVERYTHING)
    args, mounts = container(rendered, "issuer")["args"], container(rendered, "issuer")["volumeMounts"]
    assert {"--internal-jwks-uri", "--jwks-uri-ca-file=/etc/mintls/jwks-uri/ca.crt"} <= set(args)
    (mount,) = [one for one in mounts if one["mountPath"] == "/etc/mintls/jwks-uri"]
    (volume,) = [one for one in pods(rendered)["mintls-issuer"]["spec"]["volumes"] if one["name"] == mount["name"]]
    assert volume["configMap"] == {"name": "jwks-uri-ca", "items": [{"key": "ca.crt", "path": "ca.crt"}]}


def test_an_autoscaler_s_replicas_are_not_set_back(helm: Helm) -> None:
    rendered = helm.template("-f", EVERYTHING)
    assert "replicas" not in named(rendered, "Deployment", "mintls-issuer")["spec"]
    assert named(rendered, "HorizontalPodAutoscaler", "mintls-issuer")["spec"]["maxReplicas"] == 10


def test_whoever_is_let_in_the_operator_still_gets_to_the_issuer(helm: Helm) -> None:
    rendered = helm.template("-f", EVERYTHING)
    sources = named(rendered, "NetworkPolicy", "mintls-issuer")["spec"]["ingress"][0]["from"]
    labels = pods(rendered)["mintls-operator"]["metadata"]["labels"].items()
    assert any(one.get("podSelector", {}).get("matchLabels", {"none": ""}).items() <= labels for one in sources)
    assert {"namespaceSelector": {"matchLabels": {"tokens": "yes"}}} in sources


@pytest.fixture
def changed_chart(tmp_path: Path) -> Path:
    copy = tmp_path / "mintls"
    shutil.copytree(CHART, copy)
    return copy


def test_a_chart_without_its_schema_would_take_anything(helm: Helm, changed_chart: Path) -> None:
    """The witness that it is the schema that refuses."""
    (changed_chart / "values.schema.json").unlink()
    assert helm.template("--set", "replicas=2", chart=changed_chart)


def test_the_values_of_the_gitops_examples_are_taken(helm: Helm, tmp_path: Path) -> None:
    page = (REPOSITORY / "docs" / "gitops.md").read_text()
    examples = [one for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL) for one in yaml.safe_load_all(block)]
    specs = {one["kind"]: one["spec"] for one in examples}
    argo, flux = specs["Application"]["source"], specs["HelmRelease"]
    assert {REPOSITORY / argo["path"], REPOSITORY / flux["chart"]["spec"]["chart"]} == {CHART}
    for number, values in enumerate((argo["helm"]["valuesObject"], flux["values"])):
        file = tmp_path / f"{number}.yaml"
        file.write_text(yaml.safe_dump(values))
        assert container(helm.template("-f", file), "issuer")["image"] == "registry.example.com/mintls:0.1.0"


def test_the_refusal_in_the_documents_is_what_helm_says(helm: Helm) -> None:
    page = (REPOSITORY / "docs" / "install.md").read_text()
    ((command, answer),) = re.findall(r"\$ helm template mintls charts/mintls (.*)\n +(Error: .*)\n", page)
    with pytest.raises(HelmRefusedError) as refused:
        helm.template(*command.split())
    assert answer in str(refused.value)
