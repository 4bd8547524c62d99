"""The Lease's rules in virtual time, against an API that keeps one Lease; tests/integration/kube has the real one."""

import asyncio
import copy
import logging
from collections.abc import Coroutine
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from builders.virtual_time import in_virtual_time, now
from builders.waiting import until
from mintls.kube.client import ApiClient
from mintls.kube.errors import AlreadyExists, Conflict, NotFound, Unreachable
from mintls.kube.lease import TROUBLE_SECONDS, Lease
from mintls.kube.reachability import Reachability

DURATION, DEADLINE, RETRY = 15.0, 10.0, 2.0
LATENCY = 0.01


@dataclass
class LeaseApi:
    """One Lease as the API server keeps it: a PUT has to know the current resourceVersion."""

    lease: dict[str, Any] | None = None
    version: int = 0
    away: bool = False
    reads: int = 0
    written_at: float = 0.0
    writes: list[dict[str, Any]] = field(default_factory=list)
    reachability: Reachability = field(default_factory=lambda: Reachability(now))

    async def get(self, path: str, **options: Any) -> dict[str, Any]:
        await self._travel(path, **options)
        self.reads += 1
        if self.lease is None:
            raise NotFound(404, "NotFound", "no lease", path)
        return copy.deepcopy(self.lease)

    async def create(self, path: str, body: dict[str, Any], **options: Any) -> dict[str, Any]:
        await self._travel(path, **options)
        if self.lease is not None:
            raise AlreadyExists(409, "AlreadyExists", "there is one", path)
        return self._keep(body)

    async def replace(self, path: str, body: dict[str, Any], **options: Any) -> dict[str, Any]:
        await self._travel(path, **options)
        if self.lease is None:
            raise NotFound(404, "NotFound", "no lease", path)
        if body["metadata"]["resourceVersion"] != self.lease["metadata"]["resourceVersion"]:
            raise Conflict(409, "Conflict", "it changed", path)
        return self._keep(body)

    async def _travel(self, path: str, *, bounded: bool, seconds: float) -> None:
        assert not bounded, "a renewal must not wait behind ordinary requests"
        assert seconds < DEADLINE, "a request that hangs must leave time for another"
        if self.away:
            await asyncio.sleep(seconds)
            self.reachability.failed()
            raise Unreachable(0, "", f"no answer in {seconds} s", path)
        await asyncio.sleep(LATENCY)
        self.reachability.answered()

    def _keep(self, body: dict[str, Any]) -> dict[str, Any]:
        self.version += 1
        self.lease = copy.deepcopy(body)
        self.lease["metadata"]["resourceVersion"] = str(self.version)
        self.writes.append(self.lease["spec"])
        self.written_at = now()
        return copy.deepcopy(self.lease)

    @property
    def holder(self) -> str:
        return str(self.lease["spec"]["holderIdentity"]) if self.lease is not None else ""

    def held_by_another(self, **spec: Any) -> None:
        self.version += 1
        self.lease = {
            "metadata": {"resourceVersion": str(self.version)},
            "spec": {"holderIdentity": "another", "leaseDurationSeconds": 15, "renewTime": str(self.version)} | spec,
        }


def contender(api: LeaseApi, identity: str, **options: Any) -> Lease:
    times = {"duration": DURATION, "renew_deadline": DEADLINE, "retry": RETRY}
    client = cast("ApiClient", api)
    return Lease(client, "mintls-system", "mintls", identity, clock=now, **(times | options))


async def took(wait: Coroutine[Any, Any, Any] | asyncio.Task[Any], at_most: float) -> float:
    began = now()
    async with asyncio.timeout(at_most):
        await wait
    return now() - began


def kill(lease: Lease) -> None:
    """What SIGKILL does to a holder: no release, no more renewals."""
    assert lease._keeper is not None
    lease._keeper.cancel()


@in_virtual_time
async def test_the_first_makes_the_lease_and_renews_it() -> None:
    api = LeaseApi()
    lease = contender(api, "a", now=lambda: datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC))
    assert lease.seconds_left == 0
    await took(lease.acquire(), 1)
    assert lease.held
    assert api.lease is not None
    assert api.lease["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "mintls"}
    assert api.lease["spec"] == {
        "holderIdentity": "a",
        "leaseDurationSeconds": 15,
        "acquireTime": "2026-01-02T03:04:05.000006Z",
        "renewTime": "2026-01-02T03:04:05.000006Z",
        "leaseTransitions": 0,
    }
    await asyncio.sleep(3600)
    assert lease.held
    assert not lease.lost.is_set()
    await lease.release()


@in_virtual_time
async def test_a_renewal_is_one_write_each_two_seconds() -> None:
    api = LeaseApi()
    lease = contender(api, "a")
    await lease.acquire()
    await asyncio.sleep(600)
    assert 280 <= len(api.writes) <= 320
    assert api.reads == 1
    await lease.release()


@in_virtual_time
async def test_a_second_waits_as_long_as_the_first_renews() -> None:
    api = LeaseApi()
    first, second = contender(api, "a"), contender(api, "b")
    await first.acquire()
    with pytest.raises(TimeoutError):
        await took(second.acquire(), 3600)
    assert first.held
    assert not second.held
    assert api.holder == "a"
    await first.release()


@in_virtual_time
async def test_a_holder_that_died_is_followed_within_its_duration_and_a_retry() -> None:
    api = LeaseApi()
    first, second = contender(api, "a"), contender(api, "b")
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(100)
    kill(first)
    assert DURATION - RETRY * 1.2 <= await took(waiting, 60) <= DURATION + RETRY * 2
    assert not first.held
    assert second.held
    assert api.writes[-1]["leaseTransitions"] == 1
    await second.release()


@in_virtual_time
async def test_a_released_lease_is_taken_at_the_next_attempt() -> None:
    api = LeaseApi()
    first, second = contender(api, "a"), contender(api, "b")
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(100)
    await first.release()
    assert not first.held
    assert await took(waiting, 60) <= RETRY * 1.2
    assert api.holder == "b"
    assert not first.lost.is_set(), "given back is not lost"
    await second.release()
    assert api.holder == ""


@in_virtual_time
async def test_at_no_time_do_two_hold_it() -> None:
    api = LeaseApi()
    leases = [contender(api, name) for name in "abcdefgh"]
    most = 0

    async def live(lease: Lease, end: str) -> None:
        await lease.acquire()
        await asyncio.sleep(20)
        if end == "killed":
            kill(lease)
        elif end == "released":
            await lease.release()
        else:
            api.away = True
            await until(lambda: lease.lapsed)
            await asyncio.sleep(DURATION)
            api.away = False
            await until(lambda: lease.held or lease.lost.is_set())
            kill(lease)

    async def count() -> None:
        nonlocal most
        while True:
            most = max(most, sum(lease.held for lease in leases))
            await asyncio.sleep(0.01)

    counting = asyncio.create_task(count())
    ends = ["killed", "released", "cut off"] * 3
    await took(asyncio.gather(*map(live, leases, ends)), 1000)  # type: ignore[arg-type] # a future is awaitable too
    counting.cancel()
    assert most == 1


@in_virtual_time
async def test_it_is_not_held_after_the_deadline_before_anybody_else_may_begin() -> None:
    api = LeaseApi()
    first, second = contender(api, "a"), contender(api, "b")
    await first.acquire()
    waiting = asyncio.create_task(second.acquire())
    await asyncio.sleep(100)
    api.away = True
    await until(lambda: first.lapsed)
    # A request that hangs does not put it off: contenders count from the last write that was seen.
    assert DEADLINE - 1 <= now() - api.written_at <= DEADLINE
    assert not first.held
    assert not waiting.done()
    kill(first)
    api.away = False
    # The other may have a request that still hangs, and may learn only then of a renewal from before the outage.
    await took(waiting, DEADLINE / 3 + DURATION + RETRY * 2.2 + 1)
    assert not first.held
    await second.release()


@in_virtual_time
async def test_one_that_lapsed_is_held_again_as_soon_as_the_api_is_back_if_nobody_took_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    api = LeaseApi()
    lease = contender(api, "a")
    await lease.acquire()
    await asyncio.sleep(10)
    api.away = True
    await asyncio.sleep(3600)
    assert lease.lapsed
    assert not lease.lost.is_set()
    assert caplog.text.count("was not renewed in time") == 1
    api.away = False
    # A request that hangs, and the pause after it.
    await took(lease.wait_held(), DEADLINE / 3 + TROUBLE_SECONDS * 1.1 + 3 * LATENCY)
    assert lease.held
    assert not lease.lapsed
    assert api.writes[-1]["leaseTransitions"] == 0
    await asyncio.sleep(RETRY * 2)  # and the log of it comes with the next step
    assert caplog.text.count("nobody took it meanwhile") == 1
    await lease.release()


@in_virtual_time
async def test_one_whose_last_renewal_nobody_answered_is_held_again() -> None:
    api = LeaseApi()
    lease = contender(api, "a")
    await lease.acquire()
    # It was carried out, and the answer was lost: what we know of the record is older than the record.
    assert api.lease is not None
    api.version += 1
    api.lease["metadata"]["resourceVersion"] = str(api.version)
    api.away = True
    await until(lambda: lease.lapsed)
    api.away = False
    await took(lease.wait_held(), 10)
    await lease.release()


@pytest.mark.parametrize("then", ["holds", "released", "deleted"])
@in_virtual_time
async def test_one_that_lapsed_and_that_somebody_else_had_meanwhile_is_lost(then: str) -> None:
    api = LeaseApi()
    first, second = contender(api, "a"), contender(api, "b")
    await first.acquire()
    api.away = True
    await until(lambda: first.lapsed)
    # Only the first is cut off.
    assert api.lease is not None
    api.held_by_another(holderIdentity={"holds": "b", "released": "", "deleted": "b"}[then], leaseTransitions=1)
    if then == "deleted":
        api.lease = None
    api.away = False
    await took(first.lost.wait(), 10)
    assert not first.held
    await asyncio.sleep(60)
    assert not first.held
    await first.release()
    assert api.holder == {"holds": "b", "released": "", "deleted": ""}[then], "who lost it must not write it"
    await second.release()


@in_virtual_time
async def test_one_that_another_took_and_that_bears_our_name_again_is_lost() -> None:
    api = LeaseApi()
    lease = contender(api, "a")
    await lease.acquire()
    api.away = True
    await until(lambda: lease.lapsed)
    api.held_by_another(holderIdentity="a", leaseTransitions=2)
    api.away = False
    await took(lease.lost.wait(), 10)
    assert not lease.held


@in_virtual_time
async def test_short_trouble_of_the_api_does_not_lose_it() -> None:
    api = LeaseApi()
    lease = contender(api, "a")
    await lease.acquire()
    api.away = True
    await asyncio.sleep(4)
    api.away = False
    await asyncio.sleep(60)
    assert lease.held
    await lease.release()


@in_virtual_time
async def test_held_is_a_question_to_the_clock_not_to_the_renewing_task() -> None:
    lease = contender(LeaseApi(), "a")
    await lease.acquire()
    kill(lease)
    # The time counts from before the request was sent, and a read and a write have taken their time.
    assert lease.seconds_left == pytest.approx(DEADLINE - 2 * LATENCY)
    await asyncio.sleep(lease.seconds_left - 0.001)
    assert lease.held
    await asyncio.sleep(0.002)
    assert lease.seconds_left == 0
    assert bool(lease.held) is False


@in_virtual_time
async def test_a_renewal_counts_from_before_it_was_sent_however_late_it_comes_back() -> None:
    api = LeaseApi()
    lease = contender(api, "a")
    await lease.acquire()
    kill(lease)
    await asyncio.sleep(DEADLINE + 1)
    assert await lease._attempt()
    assert lease.seconds_left == pytest.approx(DEADLINE - LATENCY)


@in_virtual_time
async def test_a_lease_taken_by_force_is_lost_at_the_next_renewal() -> None:
    api = LeaseApi()
    lease = contender(api, "a")
    await lease.acquire()
    api.held_by_another()
    assert await took(lease.lost.wait(), 60) <= RETRY * 1.2
    assert not lease.held
    assert api.holder == "another"


@in_virtual_time
async def test_a_lease_that_was_edited_is_renewed_on() -> None:
    api = LeaseApi()
    lease = contender(api, "a")
    await lease.acquire()
    assert api.lease is not None
    api.version += 1
    api.lease["metadata"] |= {"resourceVersion": str(api.version), "annotations": {"note": "kept"}}
    await asyncio.sleep(60)
    assert lease.held
    assert api.lease["metadata"]["annotations"] == {"note": "kept"}
    await lease.release()


@in_virtual_time
async def test_a_lease_that_was_deleted_is_made_again() -> None:
    api = LeaseApi()
    lease = contender(api, "a")
    await lease.acquire()
    api.lease = None
    await asyncio.sleep(RETRY * 1.2)
    assert api.holder == "a"
    assert lease.held
    await lease.release()


@in_virtual_time
async def test_times_of_another_clock_mean_nothing() -> None:
    api = LeaseApi()
    lease = contender(api, "b")
    # By its own clock the other lives in the year 2000; it lives as long as the record moves.
    api.held_by_another(renewTime="2000-01-01T00:00:00.000000Z")
    waiting = asyncio.create_task(lease.acquire())
    await asyncio.sleep(DURATION - 1)
    api.held_by_another(renewTime="2000-01-01T00:00:01.000000Z")
    assert await took(waiting, 60) >= DURATION
    await lease.release()


@in_virtual_time
async def test_the_durations_of_the_holder_count_not_ours() -> None:
    api = LeaseApi()
    api.held_by_another(leaseDurationSeconds=300)
    lease = contender(api, "b")
    assert 300 <= await took(lease.acquire(), 400) <= 300 + RETRY * 2
    await lease.release()


@in_virtual_time
async def test_acquiring_waits_for_an_api_that_is_away(caplog: pytest.LogCaptureFixture) -> None:
    api = LeaseApi(away=True)
    lease = contender(api, "a")
    waiting = asyncio.create_task(lease.acquire())
    await asyncio.sleep(600)
    assert not waiting.done()
    assert caplog.text.count("no answer in") == 1
    api.away = False
    await took(waiting, 10)
    await lease.release()


@in_virtual_time
async def test_releasing_what_was_never_held_writes_nothing() -> None:
    api = LeaseApi()
    await contender(api, "a").release()
    assert api.writes == []


@in_virtual_time
async def test_a_release_that_fails_is_logged_not_raised(caplog: pytest.LogCaptureFixture) -> None:
    api = LeaseApi()
    lease = contender(api, "a")
    await lease.acquire()
    api.away = True
    await lease.release()
    assert not lease.held
    assert "others wait for its end" in caplog.text


@in_virtual_time
async def test_a_defect_in_renewing_loses_it_instead_of_going_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    api = LeaseApi()
    lease = contender(api, "a")
    await lease.acquire()
    monkeypatch.setattr(lease, "_attempt", None)
    await took(lease.lost.wait(), RETRY * 1.2)
    assert not lease.held
    assert "a defect in renewing" in caplog.text


@pytest.mark.parametrize(
    ("duration", "renew_deadline", "retry"), [(10, 10, 2), (15, 10, 10), (15, 10, 0), (15.5, 10, 2)]
)
async def test_times_that_cannot_work_are_refused(duration: float, renew_deadline: float, retry: float) -> None:
    with pytest.raises(ValueError, match=r"retry .* < renew_deadline .* < duration"):
        contender(LeaseApi(), "a", duration=duration, renew_deadline=renew_deadline, retry=retry)


class Notes:
    """What each holder leaves for the next one."""

    annotation = "example.com/notes"

    def __init__(self) -> None:
        self.found: list[str] = []
        self.left = ""

    def load(self, text: str) -> None:
        self.found.append(text)

    def text(self) -> str:
        return self.left


@in_virtual_time
async def test_a_memo_is_in_the_lease_with_the_next_renewal_and_found_by_the_next_holder() -> None:
    api, first, second = LeaseApi(), Notes(), Notes()
    lease = contender(api, "a", memo=first)
    await lease.acquire()
    assert api.lease is not None
    assert api.lease["metadata"]["annotations"] == {}
    first.left = "one"
    await asyncio.sleep(RETRY * 1.1 + 1)
    assert api.lease["metadata"]["annotations"] == {"example.com/notes": "one"}
    assert first.found == [], "its own words tell a holder nothing"
    kill(lease)
    second.left = "one and two"
    other = contender(api, "b", memo=second)
    await took(other.acquire(), DURATION + 3 * RETRY)
    assert set(second.found) == {"one"}
    assert api.lease["metadata"]["annotations"] == {"example.com/notes": "one and two"}
    second.left = "three"
    await other.release()
    assert api.lease["metadata"]["annotations"] == {"example.com/notes": "three"}, "a clean stop loses nothing"


@in_virtual_time
async def test_an_empty_memo_leaves_other_annotations_alone() -> None:
    api, notes = LeaseApi(), Notes()
    api.held_by_another()
    assert api.lease is not None
    api.lease["metadata"]["annotations"] = {"somebody": "else", "example.com/notes": "old"}
    lease = contender(api, "a", memo=notes)
    await took(lease.acquire(), DURATION + 3 * RETRY)
    assert api.lease["metadata"]["annotations"] == {"somebody": "else"}
    assert "old" in notes.found
    await lease.release()
