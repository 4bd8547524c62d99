"""Paths from a caller's certificate to an authority, validated once and kept while the authority's keys stay."""

from datetime import datetime

from mintls.core.oauth.client_authentication import PathTo
from mintls.core.pki.trust import Path, PathInvalid, PathProblem, validate_path
from mintls.issuer.directory import Directory
from mintls.issuer.peer import Peer
from mintls.issuer.recent import Recent

_REMEMBERED = 8192


class Paths:
    """Validated paths by what was presented and by the version of the authority's keys.

    Only signatures are remembered: whether the path holds *now* is checked each time, here and again where it is used.
    A path that was not found is looked for again, since time may bring it.
    """

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._paths: Recent[tuple[bytes, int], Path] = Recent(_REMEMBERED)

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
        path = self._paths.get(key)
        if path is None or not path.not_before <= now <= path.not_after:
            path = validate_path(peer.certificate.certificate, peer.presented, trust.anchors, now)
            self._paths.put(key, path)
        return path
