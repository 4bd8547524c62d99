"""Signing keys that clients ask for: for an algorithm that is not the issuer's, or of one client alone.

The operator keeps them in one Secret, a file a set. A key of one client is in no set but that client's own, and no
token that it signs is another client's: whoever trusts that set alone trusts no other client of the issuer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mintls.core.oauth.registration import Registration
from mintls.core.oauth.signing_algorithms import ALGORITHMS
from mintls.core.oauth.signing_keys import SigningKey, published_keys, signing_key

_ALGORITHM, _CLIENT, _SUFFIX = "algorithm-", "client-", ".json"


@dataclass(frozen=True, slots=True)
class ClientSigningKeys:
    """The sets.

    Attributes:
        shared: Keys that the issuer has beside its own because a client wants their algorithm, by algorithm.
        dedicated: Keys of one client alone, by the uid of its OAuthClient.
    """

    shared: Mapping[str, tuple[SigningKey, ...]] = field(default_factory=dict)
    dedicated: Mapping[str, tuple[SigningKey, ...]] = field(default_factory=dict)

    @property
    def all_shared(self) -> tuple[SigningKey, ...]:
        """The keys of all algorithms."""
        return tuple(key for keys in self.shared.values() for key in keys)


NONE = ClientSigningKeys()


def file_of_algorithm(algorithm: str) -> str:
    """The file with the keys for an algorithm."""
    return f"{_ALGORITHM}{algorithm}{_SUFFIX}"


def file_of_client(uid: str) -> str:
    """The file with the keys of a client."""
    return f"{_CLIENT}{uid}{_SUFFIX}"


def client_of_file(name: str) -> str:
    """The uid of the client whose keys are in a file; "" if it is of no client."""
    if not (name.startswith(_CLIENT) and name.endswith(_SUFFIX)):
        return ""
    return name.removeprefix(_CLIENT).removesuffix(_SUFFIX)


def sets_of_files(files: Mapping[str, tuple[SigningKey, ...]]) -> ClientSigningKeys:
    """The sets in files of these names; files of other names are nobody's."""
    shared = {alg: files[name] for alg in ALGORITHMS if (name := file_of_algorithm(alg)) in files}
    dedicated = {uid: keys for name, keys in files.items() if (uid := client_of_file(name))}
    return ClientSigningKeys(shared, dedicated)


def key_for(
    registration: Registration, own: Sequence[SigningKey], asked: ClientSigningKeys, now: datetime
) -> SigningKey | None:
    """The key that signs a client's tokens now; ``None`` if there is none such as it wants.

    A token is signed as the client wants it or not at all. So the first key of its kind signs at once.

    Args:
        registration: The client.
        own: The issuer's own keys.
        asked: Those that clients ask for.
        now: Aware UTC.
    """
    algorithm = registration.signing_algorithm
    if registration.dedicated_key:
        keys = asked.dedicated.get(registration.uid, ())
    elif algorithm:
        keys = (*own, *asked.shared.get(algorithm, ()))
    else:
        return signing_key(own, now)
    fitting = [key for key in keys if algorithm in {"", key.alg}]
    # A key that nobody asks for any more goes before a token of now would have ended.
    lasting = [
        key for key in fitting if key.retire_at is None or now + registration.access_token_lifetime < key.retire_at
    ]
    return signing_key(lasting or fitting, now)


def keys_of_client(registration: Registration, asked: ClientSigningKeys, now: datetime) -> tuple[SigningKey, ...]:
    """The published keys of a client alone; none if it has none."""
    return published_keys(asked.dedicated.get(registration.uid, ()), now)
