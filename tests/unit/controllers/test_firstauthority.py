"""The authority of a new installation: made once, by the leader, and never against somebody's will."""

import pytest

from builders.fake_api import FakeApi
from mintls.api.v1alpha1 import CertificateAuthority
from mintls.controllers.firstauthority import create_first_authority
from mintls.controllers.objects import ObjectStore
from mintls.controllers.writer import NotLeadingError, Writer
from mintls.kube.paths import CERTIFICATE_AUTHORITIES, SECRETS

SYSTEM = "mintls-system"
AUTHORITY = CERTIFICATE_AUTHORITIES.item(None, "default")
ROOT = SECRETS.item(SYSTEM, "mintls-authority-default-root")


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
def authorities() -> ObjectStore[CertificateAuthority]:
    return ObjectStore(CertificateAuthority, lambda _key, _old, _new: None)


async def start(api: FakeApi, authorities: ObjectStore[CertificateAuthority], *, leading: bool = True) -> None:
    writer = Writer(api.client, lambda: 60.0 * leading)
    await create_first_authority(api.client, writer, authorities, "default", namespace=SYSTEM)


async def test_a_new_installation_gets_one(api: FakeApi, authorities: ObjectStore[CertificateAuthority]) -> None:
    await start(api, authorities)

    assert api.objects[AUTHORITY]["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "mintls"}
    assert authorities.get(("", "default")) is not None, "known at once, not when the watch brings it"


async def test_one_that_is_there_is_left_alone(api: FakeApi, authorities: ObjectStore[CertificateAuthority]) -> None:
    await start(api, authorities)
    api.writes.clear()

    await start(api, authorities)

    assert api.writes == []


async def test_one_that_somebody_deleted_stays_deleted(
    api: FakeApi, authorities: ObjectStore[CertificateAuthority], caplog: pytest.LogCaptureFixture
) -> None:
    api.have(ROOT, {"metadata": {"name": "mintls-authority-default-root", "namespace": SYSTEM}})

    await start(api, authorities)

    assert api.writes == []
    assert "it is not made again" in caplog.text


async def test_one_that_appears_meanwhile_is_not_an_error(
    api: FakeApi, authorities: ObjectStore[CertificateAuthority]
) -> None:
    mine = api.have(AUTHORITY, {"metadata": {"name": "default"}})

    await start(api, authorities)

    assert api.objects[AUTHORITY] == mine


async def test_a_replica_that_lost_the_lease_makes_none(
    api: FakeApi, authorities: ObjectStore[CertificateAuthority]
) -> None:
    with pytest.raises(NotLeadingError):
        await start(api, authorities, leading=False)

    assert api.objects == {}
