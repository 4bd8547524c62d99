"""step-ca: the Secret with the credential, and whom it is asked as."""

from dataclasses import replace

import pytest

from builders.step_ca import PASSWORD, make_provisioner
from mintls.core.pki.provisioner import Provisioner
from mintls.reconcile.credential import Contents, Violation
from mintls.reconcile.reasons import Reason
from mintls.reconcile.stepca import Credential, Listed, credential_problem, provisioner_of

MADE, STRANGER = make_provisioner(), make_provisioner()
LISTED = Listed("mintls", "JWK", MADE.public, MADE.encrypted)


def seen(data: dict[str, bytes] | None) -> Credential:
    return Credential("mintls-system/step-ca", None if data is None else Contents(data))


class TestTheSecret:
    @pytest.mark.parametrize("data", [{"password": b"x"}, {"jwk": b"{}"}])
    def test_either_file_is_enough(self, data: dict[str, bytes]) -> None:
        assert credential_problem(seen(data)) is None

    @pytest.mark.parametrize(
        ("data", "reason", "message"),
        [
            (None, Reason.SECRET_MISSING, "there is no Secret mintls-system/step-ca"),
            ({"passwrod": b"x", "password": b""}, Reason.KEY_BROKEN, "neither password nor jwk"),
        ],
    )
    def test_what_is_missing_is_named(self, data: dict[str, bytes] | None, reason: Reason, message: str) -> None:
        found = credential_problem(seen(data))
        assert found
        assert (found.reason, message in found.message) == (reason, True), found.message


class TestWhomItIsAskedAs:
    @pytest.mark.parametrize("data", [{"password": PASSWORD.encode()}, {"password": f"{PASSWORD}\r\n".encode()}])
    def test_the_provisioner_whose_key_the_password_opens(self, data: dict[str, bytes]) -> None:
        found = provisioner_of("mintls", seen(data), (Listed("acme", "ACME"), LISTED))
        assert isinstance(found, Provisioner)
        assert (found.name, found.kid) == ("mintls", MADE.public["kid"])

    def test_the_provisioner_whose_key_is_there(self) -> None:
        assert isinstance(provisioner_of("mintls", seen({"jwk": MADE.jwk.encode()}), (LISTED,)), Provisioner)

    @pytest.mark.parametrize(
        ("data", "listed", "reason", "message"),
        [
            ({"jwk": STRANGER.jwk.encode()}, LISTED, Reason.KEY_BROKEN, "jwk is not the key that the CA has"),
            ({"jwk": b"{}"}, LISTED, Reason.KEY_BROKEN, "jwk is no JSON Web Key"),
            ({"password": b"x"}, LISTED, Reason.KEY_BROKEN, "the password is another one"),
            ({"password": b"x"}, replace(LISTED, encrypted_key=""), Reason.KEY_BROKEN, "does not hand it out"),
            ({"password": b"x"}, replace(LISTED, name="other"), Reason.EXTERNAL_REFUSED, "of that type it has: other"),
            ({"password": b"x"}, replace(LISTED, type="ACME"), Reason.EXTERNAL_REFUSED, "of that type it has: none"),
        ],
    )
    def test_whoever_cannot_be_is_named(
        self, data: dict[str, bytes], listed: Listed, reason: Reason, message: str
    ) -> None:
        found = provisioner_of("mintls", seen(data), (listed,))
        assert isinstance(found, Violation)
        assert (found.reason, message in found.message) == (reason, True), found.message
