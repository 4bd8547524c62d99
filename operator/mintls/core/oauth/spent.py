"""Identifiers that must not be accepted again: revoked tokens, and proofs that can be used once.

All replicas have to know them, and a restarted one too, so each is an object of the Kubernetes API. Its name is made of
the identifier alone: whoever meets the identifier knows which object to look for, and two replicas that write down the
same one meet in one name, of which the API server lets only one be made.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Use(StrEnum):
    """Of what it is the identifier; the value is that of ``spec.use``."""

    ACCESS_TOKEN = "accessToken"
    CLIENT_ASSERTION = "clientAssertion"
    DPOP_PROOF = "dpopProof"


_PREFIX = {Use.ACCESS_TOKEN: "token", Use.CLIENT_ASSERTION: "assertion", Use.DPOP_PROOF: "proof"}


@dataclass(frozen=True, slots=True)
class Spent:
    """An identifier that is spent.

    Attributes:
        use: Of what it is the identifier.
        client_id: The client whose it is. An identifier is one among those of its use and its client.
        identifier: The identifier (``jti``).
        expires: When it is of no use anyway (aware UTC).
    """

    use: Use
    client_id: str
    identifier: str
    expires: datetime

    @property
    def name(self) -> str:
        """The name of its object: a DNS subdomain of fixed length, whatever the identifier looks like."""
        digest = hashlib.sha256(f"{len(self.client_id)}:{self.client_id}{self.identifier}".encode()).hexdigest()
        return f"{_PREFIX[self.use]}-{digest}"
