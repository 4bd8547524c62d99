"""Which signing keys clients ask for, and what becomes of those that nobody asks for any more."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from mintls.core.oauth.client_signing_keys import client_of_file, file_of_algorithm, file_of_client
from mintls.core.oauth.registration import Registration
from mintls.core.oauth.signing_algorithms import key_spec
from mintls.core.oauth.signing_keys import SigningKey
from mintls.reconcile.signingkeys import GRACE, LONGEST_TOKEN, Change, decide

type Files = Mapping[str, tuple[SigningKey, ...]]

ROOM = 900 * 1024
"""Octets of keys in the Secret, which Kubernetes bounds at 1 MiB (``MaxSecretSize``)."""
_RSA, _OTHERS = 2 * 2048, 2 * 640
"""Octets of one client's keys while one follows the other; an entry has 1,918 (RSA) or up to 498."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What there has to be.

    Attributes:
        files: The algorithm of each file.
        clients: uids of all OAuthClients that there are; "" stands for one that cannot be read.
    """

    files: Mapping[str, str]
    clients: frozenset[str]


@dataclass(frozen=True, slots=True)
class Plan:
    """Write these files.

    Attributes:
        files: The keys to keep, by file.
        make: Files that get one more key, with its algorithm and the time from which it signs.
        look_again: When something is due; ``None`` if nothing is.
    """

    files: Files
    make: Mapping[str, tuple[str, datetime]]
    look_again: datetime | None


def with_room(clients: Iterable[Registration], algorithm: str) -> Mapping[str, str]:
    """The clients that get a key of their own, by uid, with its algorithm: the earliest, as long as there is room.

    Args:
        clients: Those that ask for one.
        algorithm: The operator's, for those that name none.
    """
    found: dict[str, str] = {}
    taken = 0
    for client in sorted(clients, key=lambda one: (one.created, one.uid)):
        wanted = client.signing_algorithm or algorithm
        taken += _RSA if key_spec(wanted).algorithm == "RSA" else _OTHERS
        if taken > ROOM:
            break
        found[client.uid] = wanted
    return found


def wanted(clients: Iterable[Registration], known: Iterable[str], algorithm: str) -> Wanted:
    """What there has to be.

    Args:
        clients: Clients that ask for an algorithm or a key of their own, and hold all that they claim.
        known: uids of all OAuthClients.
        algorithm: The operator's, which the issuer has keys for anyway.
    """
    clients = tuple(clients)
    shared = {one.signing_algorithm for one in clients if not one.dedicated_key} - {"", algorithm}
    dedicated = with_room((one for one in clients if one.dedicated_key), algorithm)
    files = {file_of_algorithm(alg): alg for alg in shared} | {
        file_of_client(uid): alg for uid, alg in dedicated.items()
    }
    return Wanted(files, frozenset(known))


def plan(files: Files, want: Wanted, now: datetime) -> Plan:
    """What to do with the files now.

    Keys that are asked for are published, sign and retire as the issuer's own. Those that nobody asks for any more
    verify until their last token is dead; those of a client that is gone go with it.

    Args:
        files: The keys that there are, by file.
        want: What there has to be.
        now: Aware UTC.
    """
    keep: dict[str, tuple[SigningKey, ...]] = {}
    make: dict[str, tuple[str, datetime]] = {}
    due: list[datetime] = []
    for name, algorithm in want.files.items():
        keys = _taken_up_again(files.get(name, ()))
        decision = decide(keys, now, algorithm)
        keep[name] = decision.keys if isinstance(decision, Change) else keys
        due.append(now if isinstance(decision, Change) else decision.look_again)
        if isinstance(decision, Change) and decision.sign_from is not None:
            make[name] = (algorithm, decision.sign_from)
    for name in files.keys() - want.files.keys():
        left = () if _orphaned(name, want) else _ending(files[name], now)
        if left:
            keep[name] = left
            due += [key.retire_at for key in left if key.retire_at is not None]
    return Plan(keep, make, min(due, default=None))


def _orphaned(name: str, want: Wanted) -> bool:
    """Whether its client is gone; as long as a client cannot be read, it may be that one."""
    uid = client_of_file(name)
    return bool(uid) and uid not in want.clients and "" not in want.clients


def _taken_up_again(keys: tuple[SigningKey, ...]) -> tuple[SigningKey, ...]:
    """The last key has an end only if nobody asked for it for a while."""
    last = max(keys, key=lambda key: key.sign_from, default=None)
    return tuple(replace(key, retire_at=None) if key is last else key for key in keys)


def _ending(keys: tuple[SigningKey, ...], now: datetime) -> tuple[SigningKey, ...]:
    """Keys that nobody asks for any more, each with its end, without those that are over."""
    end = now.replace(microsecond=0) + LONGEST_TOKEN + GRACE
    ending = (replace(key, retire_at=key.retire_at or end) for key in keys)
    return tuple(key for key in ending if key.retire_at is not None and now < key.retire_at)
