"""What the issuer knows, update by update."""

import pytest

from builders.issuer import registration, server_certificate, signing_key_made
from builders.pki import HOUR, authority
from mintls.core.oauth.registration import Registration
from mintls.core.pki.names import SubjectKind, SubjectName
from mintls.core.pki.trust import TrustAnchors
from mintls.issuer.directory import Directory

A, B = authority("a"), authority("b")


@pytest.fixture
def directory() -> Directory:
    return Directory("https://issuer.example")


def held(directory: Directory, client_id: str) -> Registration | None:
    client = directory.client(client_id)
    return client.registration if client else None


class TestClients:
    def test_a_client_is_found_by_its_id(self, directory: Directory) -> None:
        billing = registration()
        directory.put_client(billing)
        assert held(directory, "shop:billing") is billing
        assert held(directory, "shop:other") is None
        assert directory.clients == 1

    def test_an_update_replaces_it(self, directory: Directory) -> None:
        directory.put_client(registration())
        directory.put_client(registration(suspended=True))
        client = directory.client("shop:billing")
        assert client is not None
        assert client.registration.suspended

    def test_a_client_that_takes_another_id_leaves_the_old_one(self, directory: Directory) -> None:
        directory.put_client(registration(client_id="one"))
        directory.put_client(registration(client_id="two"))
        assert held(directory, "one") is None
        assert held(directory, "two") is not None

    def test_removing_an_unknown_client_is_no_error(self, directory: Directory) -> None:
        directory.remove_client(("shop", "billing"))

    def test_the_elder_holds_an_id_and_the_younger_gets_it_when_that_is_gone(self, directory: Directory) -> None:
        elder = registration("elder", client_id="x")
        younger = registration("younger", client_id="x", created=elder.created + HOUR)
        directory.put_client(younger)
        assert held(directory, "x") is younger
        directory.put_client(elder)
        assert held(directory, "x") is elder
        directory.remove_client(elder.key)
        assert held(directory, "x") is younger

    def test_an_identity_is_held_by_one_only_whatever_the_ids(self, directory: Directory) -> None:
        subject = SubjectName(SubjectKind.SAN_DNS, "x.svc")
        elder = registration("elder", subject=subject)
        younger = registration("younger", subject=subject, created=elder.created + HOUR)
        directory.put_client(elder)
        directory.put_client(younger)
        assert held(directory, "shop:elder") is elder
        assert held(directory, "shop:younger") is None
        directory.remove_client(elder.key)
        assert held(directory, "shop:younger") is younger

    def test_what_did_not_change_is_not_prepared_again(self, directory: Directory) -> None:
        directory.put_client(registration("elder", client_id="x"))
        before = directory.client("x")
        directory.put_client(registration("younger", client_id="x", created=registration().created + HOUR))
        assert directory.client("x") is before


class TestTrust:
    def anchors(self, *authorities: object) -> TrustAnchors:
        return TrustAnchors(tuple(value.root for value in (A, B) if value in authorities))

    def test_each_change_of_keys_is_a_new_version(self, directory: Directory) -> None:
        versions = []
        for anchors in (self.anchors(A), self.anchors(A, B), self.anchors(A)):
            directory.put_authority("default", anchors)
            trust = directory.trust("default")
            assert trust is not None
            versions.append(trust.version)
        assert len(set(versions)) == 3

    def test_the_same_keys_again_are_no_change(self, directory: Directory) -> None:
        told: list[None] = []
        directory.on_tls_change(lambda: told.append(None))
        directory.put_authority("default", self.anchors(A))
        before = directory.trust("default")
        directory.put_authority("default", TrustAnchors((A.root,)))
        assert directory.trust("default") is before
        assert len(told) == 1

    @pytest.mark.parametrize("how", ["removed", "emptied"])
    def test_an_authority_without_keys_vouches_for_nobody(self, directory: Directory, how: str) -> None:
        told: list[None] = []
        directory.put_authority("default", self.anchors(A))
        directory.on_tls_change(lambda: told.append(None))
        for _ in range(2):
            if how == "removed":
                directory.remove_authority("default")
            else:
                directory.put_authority("default", TrustAnchors(()))
        assert directory.trust("default") is None
        assert directory.anchors == ()
        assert len(told) == 1

    def test_all_authorities_together_are_what_the_handshake_trusts(self, directory: Directory) -> None:
        directory.put_authority("a", TrustAnchors((A.root,), (A.intermediate,)))
        directory.put_authority("b", self.anchors(B))
        assert set(directory.anchors) == {A.root, B.root}
        assert set(directory.authority_certificates) == {A.root, B.root, A.intermediate}


class TestReadiness:
    def test_it_names_what_is_missing(self, directory: Directory) -> None:
        assert len(directory.missing()) == 3
        directory.put_authority("default", A.anchors)
        directory.put_signing_keys((signing_key_made(),))
        assert directory.missing() == ("no server certificate",)
        directory.put_server_certificate(server_certificate(A.server()))
        assert directory.missing() == ()

    def test_the_same_server_certificate_again_is_no_change(self, directory: Directory) -> None:
        told: list[None] = []
        directory.on_tls_change(lambda: told.append(None))
        leaf = A.server()
        directory.put_server_certificate(server_certificate(leaf))
        directory.put_server_certificate(server_certificate(leaf))
        assert len(told) == 1

    def test_a_server_certificate_does_not_show_its_key(self) -> None:
        assert "PRIVATE" not in repr(server_certificate(A.server()))
