"""The issuer's signing keys over time: published well before they sign, gone only after their last token is dead."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from mintls.core.oauth.signing_keys import SigningKey

SIGNS_FOR = timedelta(days=30)
"""How long a key signs before the next one takes over."""
PUBLISHED_AHEAD = timedelta(hours=24)
"""How long a key is in the JWKS before it signs: longer than anybody caches a key set."""
LONGEST_TOKEN = timedelta(hours=24)
"""The limit of ``spec.accessToken.lifetime``."""
GRACE = timedelta(hours=1)
"""Beside the longest token: clocks differ, and so do the times at which replicas learn of a key."""
_BARELY = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Keep:
    """The keys are as they should be; look again at ``look_again``."""

    look_again: datetime


@dataclass(frozen=True, slots=True)
class Change:
    """Write these keys, and one more if ``sign_from`` says when a new one is to sign.

    Attributes:
        keys: The keys to keep.
        sign_from: When the new key begins to sign; ``None`` if no key is to be made.
    """

    keys: tuple[SigningKey, ...]
    sign_from: datetime | None


type Decision = Keep | Change


def decide(keys: Sequence[SigningKey], now: datetime, algorithm: str = "ES256") -> Decision:
    """What to do with the keys now. The first key signs at once: nobody can know an earlier one.

    Args:
        keys: The keys that there are.
        now: Aware UTC.
        algorithm: What the next key is for. If the last one is for another, the next is due now.
    """
    start = now.replace(microsecond=0)
    alive = tuple(key for key in keys if key.retire_at is None or now < key.retire_at)
    last = max(alive, key=lambda key: key.sign_from, default=None)
    if last is None:
        return Change((), start)
    due = last.sign_from + SIGNS_FOR - PUBLISHED_AHEAD
    other = last.alg != algorithm
    if now >= due or other:
        planned = last.sign_from + (_BARELY if other else SIGNS_FOR)
        sign_from = max(planned, start + PUBLISHED_AHEAD)
        return Change(tuple(_retiring(key, sign_from) for key in alive), sign_from)
    if len(alive) != len(keys):
        return Change(alive, None)
    return Keep(min((due, *(key.retire_at for key in alive if key.retire_at is not None))))


def _retiring(key: SigningKey, replaced_from: datetime) -> SigningKey:
    """The end of a key that another one replaces; one that has an end already keeps it."""
    return replace(key, retire_at=key.retire_at or replaced_from + LONGEST_TOKEN + GRACE)
