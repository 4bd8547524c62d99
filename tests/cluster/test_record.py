import os

import pytest

from clusterlib import record
from clusterlib.cluster import PartStatus, State
from clusterlib.embedded import Embedded, judge
from clusterlib.errors import RecordError
from clusterlib.options import Options
from clusterlib.paths import ClusterDir
from clusterlib.progress import Silent
from clusterlib.record import Owner, Record

A_RECORD = Record(
    "here",
    "embedded",
    options=Options(audit_log=True, apiserver_args=("--v=4",)),
    ready=True,
    started=1.5,
    kubernetes="v1.35.4",
    etcd="v3.6.5",
    binaries="/nowhere",
    pids={"etcd": 1},
    ports={"etcd": 2},
    owner=Owner(3, "then"),
)


def part(condition: str) -> PartStatus:
    return PartStatus("etcd", "v3.6.5", 1, "127.0.0.1:2", condition)


def test_a_record_is_read_as_it_was_written(folder: ClusterDir) -> None:
    record.save(folder, A_RECORD)
    assert record.load(folder) == A_RECORD


def test_there_is_no_record_of_a_cluster_that_never_was(folder: ClusterDir) -> None:
    assert record.load(folder) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "here"}', '{"options": {}, "owner": null, "more": 1}'])
def test_a_damaged_record_says_what_to_do(folder: ClusterDir, text: str) -> None:
    folder.record.write_text(text)
    with pytest.raises(RecordError, match="pgrep"):
        record.load(folder)


def test_all_parts_ready_is_running() -> None:
    assert judge(A_RECORD, (part("ready"), part("ready"))) is State.RUNNING


@pytest.mark.parametrize("condition", ["gone", "not answering", "never started"])
def test_one_part_missing_is_damaged(condition: str) -> None:
    assert judge(A_RECORD, (part("ready"), part(condition))) is State.DAMAGED


def test_no_process_left_is_stopped() -> None:
    assert judge(A_RECORD, (part("gone"), part("gone"), part("never started"))) is State.STOPPED


def test_a_start_that_did_not_finish_is_damaged_even_if_its_parts_answer() -> None:
    assert judge(Record("here", "embedded"), (part("ready"),)) is State.DAMAGED


def test_process_ids_that_are_strangers_by_now_are_gone(folder: ClusterDir) -> None:
    # After a reboot the same numbers are other processes: here the test's own.
    pids = dict.fromkeys(("etcd", "kube-apiserver", "kube-controller-manager"), os.getpid())
    record.save(folder, Record("here", "embedded", ready=True, binaries="/nowhere", pids=pids))
    status = Embedded(Silent()).status("here")
    assert status.state is State.STOPPED
    assert {part.condition for part in status.parts} == {"gone"}
    assert "starts it again" in status.advice


def test_down_of_strangers_signals_none_of_them(folder: ClusterDir) -> None:
    record.save(folder, Record("here", "embedded", ready=True, binaries="/nowhere", pids={"etcd": os.getpid()}))
    assert Embedded(Silent()).down("here")
    assert not folder.root.exists()


def test_down_of_nothing_says_so(folder: ClusterDir) -> None:
    folder.root.rmdir()
    assert not Embedded(Silent()).down("here")
