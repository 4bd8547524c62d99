"""kopf's part: watch the three kinds and hand every event on. It writes nothing: no annotation, no finalizer, no event.

It runs in a thread with a loop of its own, because where it shares one it takes over the process's signals, and when it
ends it cancels every task that began after it (``kopf.run_tasks`` says so). Each setting answers a way in which kopf
would otherwise write, throttle or wait; ``docs/decisions/0003-kopf.md`` has the measurements.
"""

import asyncio
import contextlib
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from mintls.api.v1alpha1 import GROUP, VERSION, CertificateAuthority, ClientCertificate, OAuthClient
from mintls.controllers.kopfalone import kopf
from mintls.controllers.kopfstorage import NoDiffBase, NoMemories, NoProgress
from mintls.controllers.objects import ObjectStore
from mintls.kube.credentials import Credentials
from mintls.kube.timelimits import TimeLimits

_CLOSING_SECONDS = 0.25
_ENDING_SECONDS = 8
_SILENCE_SECONDS = 70.0
"""Kopf's own limit for a watch that tells nothing: bookmarks come each minute, and versions are known for 75 s."""
_REFRESH = timedelta(minutes=10)
"""A projected token is replaced in its file well before it ends; kopf keeps a copy that has to follow."""

type Stores = tuple[ObjectStore[OAuthClient], ObjectStore[ClientCertificate], ObjectStore[CertificateAuthority]]


class Heard:
    """How far kopf's watches have come: kopf does not say when it has listed everything."""

    def __init__(self, stores: Stores) -> None:
        """Prepare; ``stores`` are those that it feeds."""
        self._stores = stores
        self._listed = Counter[str]()
        self._watched = set[str]()

    def begin(self) -> None:
        """It begins anew."""
        self._listed.clear()
        self._watched.clear()

    def told(self, plural: str, event: str | None) -> None:
        """It told of an object of that kind; ``event`` is ``None`` for one that was listed."""
        if event is None:
            self._listed[plural] += 1
        else:
            self._watched.add(plural)

    @property
    def is_everything(self) -> bool:
        """Whether it has told of as many objects of each kind as there are, or of the first change after its list.

        Too early by a moment where objects were deleted meanwhile.
        """
        kinds = {store.type.KIND.plural: len(store) for store in self._stores}
        return all(plural in self._watched or self._listed[plural] >= count for plural, count in kinds.items())


async def watch(stores: Stores, credentials: Credentials, limits: TimeLimits, heard: Heard) -> None:
    """Feed the stores until cancelled.

    Args:
        stores: Of clients, certificates and authorities; used in the calling loop alone.
        credentials: Who we are to the API server.
        limits: How long an API server is waited for that does not answer.
        heard: Told how far it has come.

    Raises:
        Exception: What kopf ended with; by its design that is every watch error but 410.
    """
    loop = asyncio.get_running_loop()
    heard.begin()
    registry = registry_for(stores, loop, credentials, heard)
    stop, ended = threading.Event(), loop.create_future()

    def tell(error: BaseException | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waited for the end
            loop.call_soon_threadsafe(_settle, ended, error)

    own = asyncio.new_event_loop()

    def run() -> None:
        error: BaseException | None = None
        try:
            with asyncio.Runner(loop_factory=lambda: own) as runner:
                runner.run(_observe(registry, quiet_settings(limits), stop, on_failure=tell))
        except BaseException as caught:  # noqa: BLE001 - handed to the calling loop, whatever it is
            error = caught
        tell(error)

    thread = threading.Thread(target=run, name="kopf", daemon=True)
    thread.start()
    try:
        await asyncio.shield(ended)
    finally:
        stop.set()
        threading.Thread(target=_see_to_the_end, args=(thread, own), name="end of kopf", daemon=True).start()
        if not ended.done():
            await asyncio.wait([ended], timeout=_ENDING_SECONDS)


def _see_to_the_end(thread: threading.Thread, loop: asyncio.AbstractEventLoop) -> None:
    """Stop the loop of a kopf that hangs in its end: it would go on watching, beside the one that took its place.

    Its last steps run in the same loop, and each of them can hang, so that it may have to be stopped more than once.
    """
    while thread.is_alive():
        thread.join(_ENDING_SECONDS)
        with contextlib.suppress(RuntimeError):  # the loop is closed: the thread ended meanwhile
            if thread.is_alive():
                loop.call_soon_threadsafe(loop.stop)


async def _observe(
    registry: kopf.OperatorRegistry,
    settings: kopf.OperatorSettings,
    stop: threading.Event,
    on_failure: Callable[[BaseException], None],
) -> None:
    """Run kopf until it is told to stop, or fails.

    A failure is told at once: kopf then closes its other watches, which takes seconds, and now and then for ever (its
    callback that closes a stream cannot be called from outside of a task). Nobody has to wait for that; what is still
    handed on meanwhile is what the API server says.
    """
    tasks = await kopf.spawn_tasks(
        registry=registry,
        settings=settings,
        standalone=True,
        clusterwide=True,
        memories=NoMemories(),
        stop_flag=stop,
        # Or kopf asks for the name of the user, and a container's has none: its uid is in no /etc/passwd.
        identity=cast("Any", "mintls-operator"),
    )
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        if not task.cancelled() and (error := task.exception()) is not None:
            on_failure(error)
    # A thread of kopf's waits for the flag, and the loop's end for that thread, also where kopf failed.
    stop.set()
    await kopf.run_tasks(tasks, ignored=frozenset(filter(None, [asyncio.current_task()])))
    # aiohttp closes TLS connections after it has said that they are closed ("Graceful Shutdown" in its documentation).
    await asyncio.sleep(_CLOSING_SECONDS)


def _settle(ended: asyncio.Future[None], error: BaseException | None) -> None:
    if ended.done():
        return
    if error is not None:
        ended.set_exception(error)
    else:
        ended.set_result(None)


def registry_for(
    stores: Stores, loop: asyncio.AbstractEventLoop, credentials: Credentials, heard: Heard
) -> kopf.OperatorRegistry:
    """Handlers that feed the stores in their own loop."""
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry)(_login_with(credentials, loop))
    for store in stores:
        plural = store.type.KIND.plural
        kopf.on.event(GROUP, VERSION, plural, registry=registry, id=plural)(_feed(store, loop, heard))
    return registry


def _feed(store: ObjectStore[Any], loop: asyncio.AbstractEventLoop, heard: Heard) -> Callable[..., Any]:
    plural = store.type.KIND.plural

    # No return value: kopf would write it into the object's status.
    async def handle(event: Mapping[str, Any], **_: Any) -> None:
        loop.call_soon_threadsafe(store.told, event["type"], dict(event["object"]))
        loop.call_soon_threadsafe(heard.told, plural, event["type"])

    return handle


def _login_with(credentials: Credentials, loop: asyncio.AbstractEventLoop) -> Callable[..., Any]:
    """Kopf's credentials are ours: one reading of the configuration for both, with any kubeconfig and in a pod."""

    async def authorization() -> str | None:
        await credentials.renew()
        return await credentials.authorization()

    async def login(**_: Any) -> kopf.ConnectionInfo:
        # kopf asks at its start, when these have expired, and after a 401: a fresh look is right each time.
        header = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(authorization(), loop))
        files = credentials.tls_files
        scheme, _space, token = (header or "").partition(" ")
        return kopf.ConnectionInfo(
            server=credentials.server,
            ca_path=files.ca,
            certificate_path=files.certificate,
            private_key_path=files.key,
            insecure=not files.verify,
            scheme=scheme or None,
            token=token or None,
            proxy_url=credentials.proxy,
            expiration=datetime.now(UTC) + _REFRESH,
        )

    return login


def quiet_settings(limits: TimeLimits) -> kopf.OperatorSettings:
    """Settings under which kopf only watches."""
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True  # our Lease decides who leads
    settings.posting.enabled = False  # our events are de-duplicated
    settings.scanning.disabled = True  # the CRDs are there from the start
    settings.persistence.diffbase_storage = NoDiffBase()
    settings.persistence.progress_storage = NoProgress()
    settings.watching.chunk_size = 100  # whatever is listed is in memory at the same time
    settings.watching.server_timeout = 290
    settings.watching.connect_timeout = limits.connect
    settings.watching.inactivity_timeout = min(_SILENCE_SECONDS, limits.silence)
    settings.queueing.idle_timeout = 0.1  # one task an object only for as long as its events last
    settings.queueing.worker_limit = None  # a limit would throttle to limit / idle_timeout objects a second
    settings.networking.connect_timeout = limits.connect
    settings.networking.request_timeout = limits.request
    settings.networking.error_backoffs = (0.5,) * 60
    settings.networking.enforce_retry_after = True
    settings.process.ultimate_exiting_timeout = None  # kopf would kill the whole process when it is slow to end
    return settings
