"""Nothing is missed between the operator's own list and kopf's, and kopf does not come before what is more urgent."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from builders.objects import certificate_body
from builders.virtual_time import in_virtual_time, now
from mintls.api.v1alpha1 import CertificateAuthority, ClientCertificate, OAuthClient
from mintls.controllers.earlywatches import Handover, follow
from mintls.controllers.handlers import Heard
from mintls.controllers.objects import ObjectStore
from mintls.controllers.tasks import running
from mintls.kube.errors import Gone

CERTIFICATES = "/apis/mintls.dev/v1alpha1/clientcertificates"


class Start:
    """A start in which a test says how far everything is."""

    def __init__(self) -> None:
        self.done: list[tuple[str, float]] = []
        self.is_worked_off = False
        self.has_listed = False
        self.broken = asyncio.Event()
        self.kopf_failed = asyncio.Event()
        self.handover = Handover(self.ours, lambda: self.is_worked_off, self.kopf, lambda: self.has_listed, self.sweep)

    def note(self, what: str) -> None:
        self.done.append((what, round(now())))

    async def ours(self) -> None:
        self.note("ours")
        try:
            await self.broken.wait()
        finally:
            self.note("ours ended")

    async def kopf(self) -> None:
        self.note("kopf")
        await self.kopf_failed.wait()
        raise RuntimeError("a defect of kopf")

    async def sweep(self) -> None:
        self.note("sweep")


class TestHandover:
    @in_virtual_time
    async def test_kopf_comes_when_all_was_looked_at_and_ours_goes_when_kopf_has_listed(self) -> None:
        start = Start()
        async with running(start.handover.run()):
            await asyncio.sleep(10)
            start.is_worked_off = True
            await asyncio.sleep(10)
            start.has_listed = True
            await asyncio.sleep(10)
        assert start.done == [("ours", 0), ("kopf", 10), ("ours ended", 20)]

    @in_virtual_time
    async def test_kopf_comes_at_once_where_ours_has_broken_and_what_was_missed_is_found(self) -> None:
        start = Start()
        async with running(start.handover.run()):
            await asyncio.sleep(10)
            start.broken.set()
            await asyncio.sleep(10)
            assert start.done == [("ours", 0), ("ours ended", 10), ("kopf", 10)]
            start.has_listed = True
            await asyncio.sleep(10)
        assert start.done[3:] == [("sweep", 20)], "not before kopf watches: what vanishes until then nobody tells of"

    @in_virtual_time
    async def test_kopf_comes_after_a_while_however_much_there_is_to_do(self) -> None:
        start = Start()
        async with running(start.handover.run()):
            await asyncio.sleep(1000)
        assert start.done == [("ours", 0), ("kopf", 120), ("ours ended", 1000)]

    @pytest.mark.parametrize("has_listed", [False, True])
    def test_what_kopf_ends_with_is_told(self, *, has_listed: bool) -> None:
        @in_virtual_time
        async def run() -> None:
            start = Start()
            start.is_worked_off, start.has_listed = True, has_listed
            asyncio.get_running_loop().call_later(10, start.kopf_failed.set)
            with pytest.raises(RuntimeError, match="a defect of kopf"):
                await start.handover.run()

        run()


class Api:
    """As much of one as the watches ask: what the API server tells, and how it ends."""

    def __init__(self, *events: tuple[str, dict[str, Any]], end: Exception | None = None) -> None:
        self.events = events
        self.end = end
        self.asked: list[tuple[str, str]] = []

    async def watch(self, path: str, *, resource_version: str) -> AsyncGenerator[tuple[str, dict[str, Any]]]:
        self.asked.append((path, resource_version))
        for event in self.events:
            yield event
        if self.end is not None:
            raise self.end


class TestFollow:
    @pytest.mark.parametrize("end", [None, Gone(410, "Expired", "too old", CERTIFICATES, verb="watch")])
    async def test_what_a_watch_tells_is_in_the_store_and_its_end_is_no_failure(self, end: Exception | None) -> None:
        store = ObjectStore(ClientCertificate, lambda *_: None)
        store.saw(certificate_body(name="first", uid="1", resourceVersion="3"))
        api = Api(
            ("ADDED", certificate_body(name="second", uid="2", resourceVersion="5")),
            ("BOOKMARK", {"metadata": {"resourceVersion": "6"}}),
            ("DELETED", certificate_body(name="first", uid="1", resourceVersion="7")),
            end=end,
        )
        await follow(api, {store: "4"})  # type: ignore[arg-type]  # as much of an API as it asks
        assert api.asked == [(CERTIFICATES, "4")]
        assert [item.metadata.name for item in store] == ["second"]


class TestHeard:
    def test_everything_is_as_many_of_each_kind_as_there_are(self) -> None:
        heard, certificates = self.heard()
        assert not heard.is_everything
        heard.told("clientcertificates", None)
        assert not heard.is_everything
        heard.told("clientcertificates", None)
        assert heard.is_everything

        heard.begin()
        assert not heard.is_everything

        for _ in range(2):
            heard.told("clientcertificates", None)
        certificates.saw(certificate_body(name="third", uid="3"))
        assert not heard.is_everything, "made after kopf's list"
        heard.told("clientcertificates", "ADDED")
        assert heard.is_everything, "a change is told after the list"

    def heard(self) -> tuple[Heard, ObjectStore[ClientCertificate]]:
        """Of two certificates and nothing else."""
        clients = ObjectStore(OAuthClient, lambda *_: None)
        certificates = ObjectStore(ClientCertificate, lambda *_: None)
        authorities = ObjectStore(CertificateAuthority, lambda *_: None)
        for number in range(2):
            certificates.saw(certificate_body(name=f"certificate-{number}", uid=f"{number}"))
        return Heard((clients, certificates, authorities)), certificates
