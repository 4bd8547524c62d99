"""Paths and peers are worked out once, and never believed longer than they hold."""

import hashlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from builders.pki import DAY, HOUR, NOW, Leaf, authority
from mintls.core.oauth.errors import InvalidClient, Reason
from mintls.core.pki.certificate import read_certificate
from mintls.core.pki.errors import PathInvalid, PathProblem
from mintls.core.pki.trust import TrustAnchors, validate_path
from mintls.issuer.directory import Directory
from mintls.issuer.paths import Paths
from mintls.issuer.peer import Peer, Peers, ssl_connection
from mintls.issuer.recent import Recent

CA = authority()
LEAF = CA.client(not_after=NOW + HOUR)


class Presenting:
    """A connection whose peer presented these certificates."""

    def __init__(self, *chain: bytes) -> None:
        self._chain = chain

    def getpeercert(self, binary_form: Literal[True]) -> bytes | None:
        assert binary_form
        return self._chain[0] if self._chain else None

    def get_unverified_chain(self) -> Sequence[bytes]:
        if not self._chain:
            raise AttributeError("as Python 3.13 fails where there is no certificate")
        return self._chain


def presenting(leaf: Leaf) -> Presenting:
    return Presenting(leaf.der, *(certificate.public_bytes(Encoding.DER) for certificate in leaf.chain))


def peer(leaf: Leaf = LEAF) -> Peer:
    value = Peers().of(presenting(leaf))
    assert value is not None
    return value


@pytest.fixture
def validations(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    calls: list[Any] = []

    def counting(*arguments: Any) -> Any:
        calls.append(arguments)
        return validate_path(*arguments)

    monkeypatch.setattr("mintls.issuer.paths.validate_path", counting)
    return calls


@pytest.fixture
def directory() -> Directory:
    value = Directory("https://issuer.example")
    value.put_authority("default", CA.anchors)
    return value


class TestPaths:
    def test_a_path_is_validated_once(self, directory: Directory, validations: list[Any]) -> None:
        paths = Paths(directory)
        found = {paths.finder(peer(), NOW + timedelta(minutes=n))("default").chain for n in range(30)}
        assert len(found) == len(validations) == 1

    def test_changed_keys_of_the_authority_validate_anew(self, directory: Directory, validations: list[Any]) -> None:
        paths = Paths(directory)
        paths.finder(peer(), NOW)("default")
        directory.put_authority("default", TrustAnchors((CA.root, authority().root)))
        paths.finder(peer(), NOW)("default")
        assert len(validations) == 2
        directory.put_authority("default", authority().anchors)
        with pytest.raises(PathInvalid) as refused:
            paths.finder(peer(), NOW)("default")
        assert refused.value.reason is PathProblem.UNTRUSTED

    @pytest.mark.parametrize(
        ("later", "problem"),
        [(2 * HOUR, PathProblem.EXPIRED), (400 * DAY, PathProblem.EXPIRED), (-HOUR, PathProblem.NOT_YET_VALID)],
    )
    def test_a_known_path_is_not_believed_outside_of_its_time(
        self, directory: Directory, later: timedelta, problem: PathProblem
    ) -> None:
        paths = Paths(directory)
        paths.finder(peer(), NOW)("default")
        with pytest.raises(PathInvalid) as refused:
            paths.finder(peer(), NOW + later)("default")
        assert refused.value.reason is problem
        paths.finder(peer(), NOW)("default")

    def test_an_authority_does_not_vouch_for_the_path_of_another(self, directory: Directory) -> None:
        directory.put_authority("other", authority().anchors)
        paths = Paths(directory)
        paths.finder(peer(), NOW)("default")
        for name in ("other", "unknown"):
            with pytest.raises(PathInvalid):
                paths.finder(peer(), NOW)(name)

    def test_that_there_is_no_path_is_believed_for_a_minute(self, directory: Directory, validations: list[Any]) -> None:
        directory.put_authority("other", authority().anchors)
        paths = Paths(directory)
        for seconds in (0, 1, 60, 61, 61):
            with pytest.raises(PathInvalid) as refused:
                paths.finder(peer(), NOW + timedelta(seconds=seconds))("other")
            assert refused.value.reason is PathProblem.UNTRUSTED
        assert len(validations) == 2

    def test_a_leaf_that_begins_later_is_not_kept_waiting(self, directory: Directory) -> None:
        paths, leaf = Paths(directory), CA.client(not_before=NOW + timedelta(seconds=1))
        with pytest.raises(PathInvalid):
            paths.finder(peer(leaf), NOW)("default")
        paths.finder(peer(leaf), NOW + timedelta(seconds=1))("default")

    def test_new_keys_of_the_authority_end_a_refusal_at_once(self, directory: Directory) -> None:
        paths, other = Paths(directory), authority()
        leaf = other.client()
        with pytest.raises(PathInvalid):
            paths.finder(peer(leaf), NOW)("default")
        directory.put_authority("default", TrustAnchors((CA.root, other.root)))
        paths.finder(peer(leaf), NOW)("default")

    def test_without_a_certificate_there_is_no_path(self, directory: Directory) -> None:
        with pytest.raises(PathInvalid):
            Paths(directory).finder(None, NOW)("default")

    def test_the_same_leaf_with_other_certificates_beside_it_is_looked_at_anew(
        self, directory: Directory, validations: list[Any]
    ) -> None:
        paths = Paths(directory)
        with pytest.raises(PathInvalid):
            paths.finder(peer(Leaf(LEAF.certificate, LEAF.key)), NOW)("default")
        paths.finder(peer(), NOW)("default")
        assert len(validations) == 2


class TestPeers:
    @pytest.fixture
    def readings(self, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
        calls: list[bytes] = []

        def counting(der: bytes) -> Any:
            calls.append(der)
            return read_certificate(der)

        monkeypatch.setattr("mintls.issuer.peer.read_certificate", counting)
        return calls

    def test_a_certificate_is_decoded_once_for_all_connections_that_present_it(self, readings: list[bytes]) -> None:
        peers, connection = Peers(), presenting(LEAF)
        first = peers.of(connection)
        assert peers.of(connection) is first
        assert peers.of(presenting(LEAF)) is first
        assert readings == [LEAF.der]

    def test_no_certificate_and_no_tls_are_nobody(self) -> None:
        assert Peers().of(Presenting()) is None
        assert Peers().of(None) is None
        assert ssl_connection(None) is None

    def test_what_cannot_be_decoded_is_an_invalid_client(self) -> None:
        with pytest.raises(InvalidClient) as refused:
            Peers().of(Presenting(b"\x30\x00"))
        assert refused.value.reason is Reason.UNREADABLE_CERTIFICATE

    def test_what_is_beside_the_leaf_and_cannot_be_decoded_is_left_out(self) -> None:
        value = Peers().of(Presenting(LEAF.der, b"x", CA.intermediate.public_bytes(Encoding.DER)))
        assert value is not None
        assert value.presented == (CA.intermediate,)

    def test_a_chain_is_known_by_all_of_it(self) -> None:
        keys = {peer(LEAF).key, peer(Leaf(LEAF.certificate, LEAF.key)).key, peer(CA.client()).key}
        assert len(keys) == 3
        assert hashlib.sha256(LEAF.der).digest() not in keys

    def test_an_endless_chain_is_cut(self) -> None:
        der = CA.intermediate.public_bytes(Encoding.DER)
        value = Peers().of(Presenting(LEAF.der, *[der] * 100))
        assert value is not None
        assert len(value.presented) < 10


def test_what_was_not_used_for_longest_is_forgotten_first() -> None:
    recent: Recent[str, int] = Recent(2)
    recent.put("a", 1)
    recent.put("b", 2)
    assert recent.get("a") == 1
    recent.put("c", 3)
    assert (recent.get("a"), recent.get("b"), recent.get("c")) == (1, None, 3)
    assert len(recent) == 2
