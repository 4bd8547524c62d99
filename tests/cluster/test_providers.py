import dataclasses
from pathlib import Path

import pytest

from clusterlib import record
from clusterlib.errors import BadRequestError
from clusterlib.options import Options
from clusterlib.paths import ClusterDir
from clusterlib.providers import Facts, choose, gather
from clusterlib.record import Record

BARE = Facts(asked="auto", recorded=None, kubeconfig_given=False, options=Options(), kind_works=lambda: False)


def chosen(facts: Facts) -> str:
    return choose(facts)[0]


def test_a_bare_machine_gets_the_embedded_one() -> None:
    assert chosen(BARE) == "embedded"


def test_a_container_engine_gets_kind() -> None:
    assert chosen(dataclasses.replace(BARE, kind_works=lambda: True)) == "kind"


def test_a_kubeconfig_counts_more_than_a_container_engine() -> None:
    assert chosen(dataclasses.replace(BARE, kubeconfig_given=True, kind_works=lambda: True)) == "existing"


def test_what_a_cluster_was_made_with_counts_more_than_a_kubeconfig() -> None:
    assert chosen(dataclasses.replace(BARE, recorded="embedded", kubeconfig_given=True)) == "embedded"


def test_options_that_only_embedded_has_choose_it() -> None:
    wanted = Options(audit_log=True)
    assert chosen(dataclasses.replace(BARE, options=wanted, kind_works=lambda: True)) == "embedded"


@pytest.mark.parametrize("name", ["existing", "kind", "embedded"])
def test_what_is_asked_for_is_taken(name: str) -> None:
    assert chosen(dataclasses.replace(BARE, asked=name, kind_works=lambda: True)) == name


def test_another_provider_than_the_cluster_has_is_refused() -> None:
    with pytest.raises(BadRequestError, match="made with provider kind, not embedded"):
        choose(dataclasses.replace(BARE, asked="embedded", recorded="kind"))


def test_an_unknown_provider_is_refused() -> None:
    with pytest.raises(BadRequestError, match="minikube"):
        choose(dataclasses.replace(BARE, asked="minikube"))


@pytest.mark.usefixtures("state_home")
class TestGathering:
    def test_the_command_line_counts_more_than_the_environment(self) -> None:
        environment = {"MINTLS_CLUSTER_PROVIDER": "kind"}
        assert gather("here", "embedded", Options(), environment).asked == "embedded"
        assert gather("here", None, Options(), environment).asked == "kind"
        assert gather("here", None, Options(), {}).asked == "auto"

    def test_somebody_elses_kubeconfig_is_given(self, tmp_path: Path) -> None:
        other = tmp_path / "kubeconfig"
        other.touch()
        assert gather("here", None, Options(), {"KUBECONFIG": str(other)}).kubeconfig_given

    def test_a_kubeconfig_that_the_launcher_made_is_not(self, folder: ClusterDir) -> None:
        # Or, after `export KUBECONFIG=...`, `down` and the next `up` would take it for a stranger's.
        assert not gather("here", None, Options(), {"KUBECONFIG": str(folder.kubeconfig)}).kubeconfig_given

    def test_a_record_names_its_provider(self, folder: ClusterDir) -> None:
        record.save(folder, Record("here", "kind"))
        assert gather("here", None, Options(), {}).recorded == "kind"


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a/b", "..", "a" * 41])
def test_a_name_that_is_no_folder_is_refused(name: str) -> None:
    with pytest.raises(BadRequestError, match="no name for a cluster"):
        ClusterDir.of(name)
