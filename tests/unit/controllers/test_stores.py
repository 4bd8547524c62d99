"""What the operator remembers: objects and Secrets in their newest version, whatever order the news comes in."""

import logging
from collections.abc import Sized
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.objects import certificate, certificate_body
from mintls.api.v1alpha1 import ClientCertificate
from mintls.controllers import certificateindex
from mintls.controllers.certificateindex import CertificateIndex
from mintls.controllers.objects import ObjectKey, ObjectStore
from mintls.controllers.secretviews import SecretKey, SecretViews, contents_of, view_of
from mintls.controllers.trustbundles import NamespaceUse
from mintls.core.multimap import MultiMap
from mintls.kube.client import FIELD_MANAGER
from mintls.reconcile.credential import SecretView
from mintls.reconcile.keystores import password_secrets

KEY = ("shop", "billing")
READY = {
    "type": "Ready",
    "status": "True",
    "reason": "Issued",
    "message": "",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}


class Told:
    """An ObjectStore and what it told."""

    def __init__(self) -> None:
        self.changes: list[tuple[ClientCertificate | None, ClientCertificate | None]] = []
        self.store = ObjectStore(ClientCertificate, self._note)

    def _note(self, key: ObjectKey, old: ClientCertificate | None, new: ClientCertificate | None) -> None:
        assert key == KEY
        self.changes.append((old, new))

    def saw(self, version: int, **changes: Any) -> None:
        self.store.saw(certificate_body(resourceVersion=str(version), **changes))

    @property
    def version(self) -> str:
        item = self.store.get(KEY)
        return item.metadata.resource_version if item else ""


class TestAnObject:
    def test_that_is_new_is_told(self) -> None:
        told = Told()
        told.saw(5)
        assert told.changes == [(None, told.store.get(KEY))]
        assert [item.metadata.name for item in told.store] == ["billing"]
        assert len(told.store) == 1

    @pytest.mark.parametrize("version", [5, 4])
    def test_that_comes_twice_or_late_is_not(self, version: int) -> None:
        told = Told()
        told.saw(5)
        told.saw(version, generation=2)
        assert (len(told.changes), told.version) == (1, "5")

    def test_versions_are_compared_as_numbers(self) -> None:
        told = Told()
        told.saw(9)
        told.saw(10, generation=2)
        assert told.version == "10"

    @pytest.mark.parametrize(
        "change",
        [
            {"generation": 2},
            {"uid": "recreated"},
            {"deletionTimestamp": "2026-01-01T00:00:00Z"},
            {"status": {"conditions": [READY]}},
        ],
    )
    def test_that_changed_is_told_with_what_it_was(self, change: dict[str, Any]) -> None:
        told = Told()
        told.saw(5)
        before = told.store.get(KEY)
        told.saw(6, **change)
        assert told.changes[1:] == [(before, told.store.get(KEY))]

    def test_of_which_only_labels_changed_is_remembered_and_not_told(self) -> None:
        told = Told()
        told.saw(5)
        told.saw(6, labels={"team": "a"})
        assert (len(told.changes), told.version) == (1, "6")

    def test_that_is_gone_is_told(self) -> None:
        told = Told()
        told.saw(5)
        told.store.gone(KEY, "uid-shop-billing")
        assert told.changes[-1][1] is None
        assert told.store.get(KEY) is None

    def test_that_was_never_there_is_not_gone(self) -> None:
        told = Told()
        told.store.gone(KEY)
        assert told.changes == []

    def test_that_was_made_again_is_not_gone_with_its_predecessor(self) -> None:
        told = Told()
        told.saw(5)
        told.saw(7, uid="second")
        told.store.gone(KEY, "uid-shop-billing")
        assert told.version == "7"


class TestAListedObject:
    """In JSON, of which little is read where it is known."""

    def listed(self, told: Told, version: int, **changes: Any) -> ObjectKey:
        return told.store.listed(
            msgspec.Raw(msgspec.json.encode(certificate_body(resourceVersion=str(version), **changes)))
        )

    def test_is_as_good_as_one_that_was_seen(self) -> None:
        told, seen = Told(), Told()
        assert self.listed(told, 5, status={"conditions": [READY]}) == KEY
        seen.saw(5, status={"conditions": [READY]})
        assert told.store.get(KEY) == seen.store.get(KEY)
        assert told.changes == seen.changes

    def test_that_is_known_is_not_read(self) -> None:
        told = Told()
        told.saw(5)
        # It would be refused if it was.
        assert self.listed(told, 5, spec={"secretName": 7}) == KEY
        assert told.store.uids() == {KEY: "uid-shop-billing"}
        assert len(told.changes) == 1

    def test_that_changed_is_told(self) -> None:
        told = Told()
        told.saw(5)
        self.listed(told, 6, generation=2)
        assert (len(told.changes), told.version) == (2, "6")

    def test_that_cannot_be_read_keeps_what_was_known(self, caplog: pytest.LogCaptureFixture) -> None:
        told = Told()
        told.saw(5)
        assert self.listed(told, 6, spec={"secretName": 7}) == KEY
        assert told.version == "5"
        assert "$.spec.secretName" in caplog.text


def test_as_many_as_there_are_come_back_as_they_went_in() -> None:
    store = ObjectStore(ClientCertificate, lambda *_: None)
    bodies = [
        certificate_body(f"c{number}", resourceVersion="5", status={"conditions": [READY], "revision": number})
        for number in range(600)
    ]
    for body in bodies:
        store.saw(body)
    assert list(store) == [msgspec.convert(body, ClientCertificate) for body in bodies]
    assert store.get(("shop", "c7")) == msgspec.convert(bodies[7], ClientCertificate)


@pytest.mark.parametrize(
    ("conditions", "ailing"),
    [
        ([], ["billing"]),
        ([READY], []),
        ([READY | {"status": "False"}], ["billing"]),
        ([READY, READY | {"type": "Issuing"}], ["billing"]),
        ([READY, READY | {"type": "Issuing", "status": "False"}], []),
    ],
)
def test_those_that_are_not_ready_or_wait_are_found_by_themselves(
    conditions: list[dict[str, str]], ailing: list[str]
) -> None:
    told = Told()
    told.saw(5, status={"conditions": conditions})
    assert [item.metadata.name for item in told.store.ailing()] == ailing
    told.saw(6, status={"conditions": [READY]})
    assert list(told.store.ailing()) == []


class TestAnObjectThatCannotBeRead:
    def test_keeps_what_was_known_and_leaves_the_others_alone(self, caplog: pytest.LogCaptureFixture) -> None:
        told = Told()
        told.saw(5)
        told.saw(6, spec={"secretName": 7})
        assert told.version == "5"
        assert len(told.changes) == 1
        (record,) = caplog.records
        assert record.levelno == logging.ERROR
        assert "ClientCertificate shop/billing" in record.getMessage()
        assert "$.spec.secretName" in record.getMessage()

    def test_is_complained_of_once(self, caplog: pytest.LogCaptureFixture) -> None:
        told = Told()
        for version in range(5):
            told.saw(version + 1, spec={"secretName": 7})
        assert len(caplog.records) == 1

    def test_is_known_by_its_key_so_that_a_sweep_sees_it_go(self) -> None:
        told = Told()
        told.saw(5, spec={"secretName": 7})
        assert told.store.uids() == {KEY: "uid-shop-billing"}
        assert told.store.get(KEY) is None
        told.store.gone(KEY)
        assert told.store.uids() == {}
        assert told.changes == []

    def test_is_read_again_when_it_was_corrected(self) -> None:
        told = Told()
        told.saw(5)
        told.saw(6, spec={"secretName": 7})
        told.saw(7, generation=3)
        assert told.version == "7"
        assert len(told.changes) == 2


class TestOurOwnStatusWrite:
    def written(self, version: int, **changes: Any) -> dict[str, Any]:
        return certificate_body(resourceVersion=str(version), status={"revision": 1}, **changes)

    def test_is_remembered_and_is_no_reason_to_look_again(self) -> None:
        told = Told()
        told.saw(5)
        told.store.wrote(self.written(6))
        assert (len(told.changes), told.version) == (1, "6")

    def test_is_no_reason_either_when_the_watch_tells_of_it(self) -> None:
        told = Told()
        told.saw(5)
        told.store.wrote(self.written(6))
        told.store.saw(self.written(6))
        assert len(told.changes) == 1

    def test_that_met_a_changed_spec_is_a_reason(self) -> None:
        """The answer shows the user's change before the watch does, and the watch's word will look old."""
        told = Told()
        told.saw(5)
        told.store.wrote(self.written(7, generation=2))
        assert len(told.changes) == 2
        told.store.saw(certificate_body(resourceVersion="6", generation=2))
        assert (len(told.changes), told.version) == (2, "7")

    def test_of_an_object_that_is_gone_does_not_bring_it_back(self) -> None:
        told = Told()
        told.saw(5)
        told.store.gone(KEY)
        told.store.wrote(self.written(6))
        assert told.store.get(KEY) is None

    def test_that_is_older_than_what_is_known_is_forgotten(self) -> None:
        told = Told()
        told.saw(9, generation=4)
        told.store.wrote(self.written(8))
        assert told.version == "9"

    def test_with_a_spec_that_cannot_be_read_is_complained_of_like_any_other(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        told = Told()
        told.saw(5)
        told.store.wrote(self.written(6, spec={"secretName": 7}))
        assert told.version == "5"
        assert len(caplog.records) == 1


@given(st.permutations([2, 3, 4, 5]), st.lists(st.integers(2, 5), max_size=4))
def test_whatever_order_the_news_comes_in_the_newest_stays(order: list[int], again: list[int]) -> None:
    told = Told()
    for version in [*order, *again]:
        told.saw(version, generation=version)
    assert told.version == "5"
    generations = [new.metadata.generation for _, new in told.changes if new is not None]
    assert generations == sorted(set(generations)), "never back"


SECRET = ("shop", "billing-mtls")


def secret_body(version: int = 5, uid: str = "first", name: str = SECRET[1], **metadata: Any) -> dict[str, Any]:
    """A Secret's metadata in JSON, as a watch tells of one with our label."""
    ours = {"app.kubernetes.io/managed-by": "mintls"}
    fixed = {"namespace": SECRET[0], "name": name, "uid": uid, "resourceVersion": str(version)}
    return {"metadata": {"labels": ours, **metadata, **fixed}}


class Views:
    """SecretViews, and what they told."""

    def __init__(self) -> None:
        self.told: list[SecretView] = []
        self.views = SecretViews(self._note)

    def _note(self, key: SecretKey, view: SecretView) -> None:
        assert key == SECRET
        self.told.append(view)

    def put(self, version: int, uid: str = "first") -> SecretView:
        self.views.put(secret_body(version, uid))
        return view_of(secret_body(version, uid))

    def gone(self, uid: str = "first") -> None:
        self.views.gone(secret_body(1000, uid))

    def wrote(self, version: int, uid: str = "first", **metadata: Any) -> SecretView:
        view = view_of(secret_body(version, uid, **metadata))
        self.views.wrote(SECRET, view)
        return view

    @property
    def known(self) -> SecretView | None:
        return self.views.get(SECRET)


class TestASecret:
    def test_is_what_the_watch_says(self) -> None:
        views = Views()
        first = views.put(5)
        assert (views.known, views.told) == (first, [first])
        second = views.put(6)
        assert (views.known, views.told[1:]) == (second, [second])
        views.gone()
        assert (views.known, views.told[2:]) == (None, [second])

    def test_is_known_as_it_was_told_or_read_whatever_is_in_its_metadata(self) -> None:
        views = Views()
        entry = {"manager": FIELD_MANAGER, "operation": "Update", "time": "2026-01-01T00:00:00Z"}
        rest = {"annotations": {"a": "b"}, "managedFields": [entry, entry | {"manager": "kubectl"}]}
        assert views.wrote(5, **rest) == views.known
        assert views.known.written is not None
        assert views.known.foreign == "kubectl"

    def test_whose_metadata_cannot_be_read_is_left_out_and_the_others_are_known(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        views = Views()
        broken = [{"manager": FIELD_MANAGER, "time": "yesterday"}]
        views.views.put(secret_body(name="broken", managedFields=broken))
        assert views.put(6) == views.known
        assert "Secret shop/broken is left out" in caplog.text

    @pytest.mark.parametrize("listed", ["7", "8"])
    def test_that_a_list_lacks_is_gone(self, listed: str) -> None:
        views = Views()
        ours = views.wrote(7)
        views.views.listed({("shop", "another")}, listed)
        assert (views.known, views.told) == (None, [ours])

    def test_that_was_written_after_a_list_is_there_still(self) -> None:
        views = Views()
        ours = views.wrote(8)
        views.views.listed({("shop", "another")}, "7")
        assert (views.known, views.told) == (ours, [])

    def test_that_a_list_has_stays(self) -> None:
        views = Views()
        ours = views.put(7)
        views.views.listed({SECRET}, "9")
        assert (views.known, views.told) == (ours, [ours])

    def test_that_was_read_by_its_name_and_has_no_label_of_ours_is_in_no_list(self) -> None:
        views = Views()
        theirs = views.wrote(5, labels={})
        views.views.listed(set(), "9")
        assert (views.known, views.told) == (theirs, [])

    def test_that_a_list_lacked_does_not_come_back_by_a_late_answer(self) -> None:
        views = Views()
        views.put(7)
        views.views.listed(set(), "9")
        views.wrote(7)
        assert views.known is None

    def test_that_we_wrote_is_known_before_the_watch_tells_of_it_and_it_tells_nothing_new(self) -> None:
        views = Views()
        ours = views.wrote(7)
        assert views.known == ours
        views.put(6)
        views.put(7)
        assert (views.known, views.told) == (ours, [])

    def test_that_somebody_changed_after_we_wrote_it_is_told(self) -> None:
        views = Views()
        views.wrote(7)
        views.put(7)
        theirs = views.put(8)
        assert views.known == theirs
        assert len(views.told) == 1

    def test_that_is_gone_after_we_wrote_it_is_gone(self) -> None:
        views = Views()
        views.put(5)
        views.wrote(7)
        views.gone()
        assert views.known is None
        assert len(views.told) == 2

    def test_that_was_made_again_is_not_gone_with_its_predecessor(self) -> None:
        views = Views()
        views.put(5)
        views.views.missing(SECRET)
        ours = views.wrote(9, uid="second")
        views.gone()
        assert (views.known, len(views.told)) == (ours, 1)

    def test_that_was_not_found_is_unknown(self) -> None:
        views = Views()
        views.put(5)
        views.views.missing(SECRET)
        assert views.known is None

    def test_of_which_our_own_write_is_answered_late_stays_as_it_was_changed_since(self) -> None:
        """Both come in one turn of the loop, in any order: nobody would tell of the change again."""
        views = Views()
        views.put(7)
        theirs = views.put(8)
        views.wrote(7)
        assert views.known == theirs

    def test_of_which_our_own_write_is_answered_late_stays_gone(self) -> None:
        views = Views()
        views.put(7)
        views.gone()
        views.wrote(7)
        assert views.known is None

    def test_that_lost_our_label_and_is_read_by_name_is_known_again(self) -> None:
        """To the watch it is gone; it is another version since."""
        views = Views()
        views.put(7)
        views.gone()
        found = views.wrote(8)
        assert views.known == found

    def test_that_is_made_after_one_was_gone_is_known_at_once(self) -> None:
        views = Views()
        views.put(7)
        views.gone()
        ours = views.wrote(9, uid="second")
        assert views.known == ours

    def test_that_is_gone_for_many_does_not_fill_the_memory(self) -> None:
        views = SecretViews(lambda *_: None)
        for number in range(20_000):
            body = secret_body(name=str(number))
            views.put(body)
            views.gone(body)
        assert sum(len(part) for part in vars(views).values() if isinstance(part, Sized)) < 2_000


class TestAViewOfASecret:
    def test_has_the_owner_that_controls_it(self) -> None:
        owners = [{"uid": "a"}, {"uid": "b", "controller": True}, {"uid": "c", "controller": False}]
        body = {"metadata": {"uid": "u", "resourceVersion": "5", "ownerReferences": owners}}
        assert view_of(body) == SecretView("u", "5", "b", {}, {})

    def test_of_the_barest_metadata_is_empty(self) -> None:
        null = {"uid": "u", "resourceVersion": "5", "labels": None, "annotations": None, "ownerReferences": None}
        assert view_of({"metadata": null}) == SecretView("u", "5", "", {}, {})

    def test_has_decoded_contents_that_no_repr_shows(self) -> None:
        contents = contents_of({"data": {"tls.key": "c2VjcmV0", "empty": ""}})
        assert contents.data == {"tls.key": b"secret", "empty": b""}
        assert "secret" not in repr(contents)
        assert contents_of({"data": None}).data == {}


class Indexed:
    """An index, and the certificates that it is of."""

    def __init__(self, *items: ClientCertificate) -> None:
        self.items: dict[ObjectKey, ClientCertificate] = {}
        self.index = CertificateIndex(lambda: self.items)
        for item in items:
            self.put(item.metadata.name, item)

    def put(self, name: str, new: ClientCertificate | None) -> None:
        key = ("shop", name)
        old = self.items.pop(key, None)
        if new is not None:
            self.items[key] = new
        self.index.changed(key, old, new)


class TestTheIndexOfCertificates:
    def test_finds_by_client_by_authority_and_by_secret(self) -> None:
        index = Indexed(certificate("a"), certificate("b", spec={"clientRef": {"name": "a"}})).index
        assert index.of_client(("shop", "a")) == {("shop", "a"), ("shop", "b")}
        assert index.of_authority("default") == {("shop", "a"), ("shop", "b")}
        assert index.of_secret(("shop", "b-mtls")) == {("shop", "b")}

    def test_finds_nothing_of_another_namespace(self) -> None:
        index = Indexed(certificate("a")).index
        assert index.of_client(("bank", "a")) == frozenset()
        assert index.of_secret(("bank", "a-mtls")) == frozenset()

    def test_follows_a_change_and_forgets_what_is_gone(self) -> None:
        subject = Indexed(certificate("a"))
        index = subject.index
        subject.put("a", certificate("a", spec={"clientRef": {"name": "z"}, "authorityRef": {"name": "other"}}))
        assert index.of_client(("shop", "a")) == frozenset()
        assert index.of_client(("shop", "z")) == index.of_authority("other") == {("shop", "a")}
        subject.put("a", None)
        assert (index.of_client(("shop", "z")), index.of_authority("other")) == (frozenset(), frozenset())
        tables = [one for one in vars(index).values() if isinstance(one, MultiMap)]
        assert tables
        assert not any(map(len, tables)), "nothing is left behind"

    def test_tells_secrets_of_one_hash_apart(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(certificateindex, "hash", len, raising=False)
        index = Indexed(certificate("a"), certificate("b")).index
        assert index.of_secret(("shop", "a-mtls")) == {("shop", "a")}
        assert index.of_secret(("bank", "a-mtls")) == frozenset()

    def test_knows_the_end_of_what_was_issued_last(self) -> None:
        subject = Indexed(certificate("a"))
        assert subject.index.end_of(("shop", "a")) is None
        subject.items["shop", "a"] = certificate("a", status={"notAfter": "2026-01-02T00:00:00Z"})
        assert subject.index.end_of(("shop", "a")) == datetime(2026, 1, 2, tzinfo=UTC), "also of a status that we wrote"
        assert subject.index.end_of(("shop", "b")) is None

    def test_has_a_key_that_stays_in_memory_once(self) -> None:
        old = certificate("a")
        subject = Indexed(old)
        index, [key], again = subject.index, subject.items, tuple(reversed(("a", "shop")))
        index.changed(again, old, certificate("a", spec={"duration": "1h"}))
        found = [index.of_client(key), index.of_secret(("shop", "a-mtls")), {*index._by_client}]
        assert all(one is key for [one] in found)


specs = st.fixed_dictionaries(
    {
        "clientRef": st.sampled_from("xy").map(lambda name: {"name": name}),
        "secretName": st.sampled_from("st"),
        "authorityRef": st.sampled_from("pq").map(lambda name: {"name": name}),
        "keystores": st.fixed_dictionaries(
            {},
            optional={
                kind: st.sampled_from("vw").map(lambda name: {"passwordSecretRef": {"name": name}})
                for kind in ("pkcs12", "jks")
            },
        ),
    }
)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.one_of(st.none(), specs)), max_size=12))
def test_the_index_is_what_a_search_through_all_would_find(history: list[tuple[str, dict[str, Any] | None]]) -> None:
    subject = Indexed()
    index, items = subject.index, subject.items
    for name, spec in history:
        subject.put(name, certificate(name, spec=spec) if spec else None)
    for name in "xy":
        found = {key for key, item in items.items() if item.spec.client_ref.name == name}
        assert index.of_client(("shop", name)) == found
    for name in "st":
        found = {key for key, item in items.items() if item.spec.secret_name == name}
        assert index.of_secret(("shop", name)) == found
    for name in "pq":
        found = {key for key, item in items.items() if item.spec.authority_ref.name == name}
        assert index.of_authority(name) == found
    for name in "vw":
        found = {key for key, item in items.items() if name in password_secrets(item.spec)}
        assert index.of_password(("shop", name)) == found


class TestTheUseOfNamespaces:
    def test_tells_of_the_first_and_of_the_last_object(self) -> None:
        use = NamespaceUse()
        assert use.changed("shop", None, "a")
        assert not use.changed("shop", None, "b")
        assert not use.changed("shop", "a", "a2")
        assert not use.changed("shop", "a2", None)
        assert use.namespaces() == {"shop"}
        assert use.changed("shop", "b", None)
        assert use.namespaces() == frozenset()

    def test_does_not_know_what_was_never_there(self) -> None:
        use = NamespaceUse()
        assert not use.changed("shop", None, None)
        assert not use.changed("shop", "a", None)
        assert use.changed("shop", None, "a")


def test_objects_are_frozen() -> None:
    with pytest.raises(AttributeError):
        certificate().spec.secret_name = "x"  # type: ignore[misc] # that is the point
    assert msgspec.structs.replace(certificate().spec, secret_name="x").secret_name == "x"
