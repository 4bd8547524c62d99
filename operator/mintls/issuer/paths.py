"""Paths from a caller's certificate to an authority, validated once and kept while the authority's keys stay."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from mintls.core.oauth.client_authentication import PathTo
from mintls.core.pki.trust import Path, PathInvalid, PathProblem, TrustAnchors, validate_path
from mintls.issuer.directory import Directory
from mintls.issuer.peer import Peer
from mintls.issuer.recent import Recent

_REMEMBERED = 8192
_MISS_LASTS = timedelta(minutes=1)
_OF_THE_TIME = frozenset({PathProblem.EXPIRED, PathProblem.NOT_YET_VALID})


@dataclass(frozen=True, slots=True)
class _Miss:
    """That there is no path, why, and from when until when that is believed."""

    reason: PathProblem
    message: str
    not_before: datetime
    not_after: datetime


class Paths:
    """Validated paths by what was presented and by the version of the authority's keys.

    Only signatures are remembered: whether the path holds *now* is checked each time, here and again where it is used.
    That there is none is believed for a minute, as long as its cause is not the time: so it costs a caller of another
    authority as little as everybody else, and neither work nor duration tells who is registered with which.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._paths: Recent[tuple[bytes, int], Path | _Miss] = Recent(_REMEMBERED)

    def finder(self, peer: Peer | None, now: datetime) -> PathTo:
        """A function from the name of an authority to the path of that peer; it raises ``PathInvalid``."""

        def path_to(authority: str) -> Path:
            if peer is None:
                raise PathInvalid(PathProblem.UNTRUSTED, "no certificate was presented")
            return self._path(peer, authority, now)

        return path_to

    def _path(self, peer: Peer, authority: str, now: datetime) -> Path:
        trust = self._directory.trust(authority)
        if trust is None:
            raise PathInvalid(PathProblem.UNTRUSTED, f"no CertificateAuthority {authority} has keys")
        key = (peer.key, trust.version)
        known = self._paths.get(key)
        if known is None or not known.not_before <= now <= known.not_after:
            known = _look(peer, trust.anchors, now)
            self._paths.put(key, known)
        if isinstance(known, _Miss):
            raise PathInvalid(known.reason, known.message)
        return known


def _look(peer: Peer, anchors: TrustAnchors, now: datetime) -> Path | _Miss:
    try:
        return validate_path(peer.certificate.certificate, peer.presented, anchors, now)
    except PathInvalid as error:
        if error.reason in _OF_THE_TIME:
            raise
        return _Miss(error.reason, str(error), now, now + _MISS_LASTS)
