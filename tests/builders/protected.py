"""A resource behind a proxy that asks the issuer, and curl in front of the proxy."""

import socket
from dataclasses import dataclass

from builders.dpop import proof
from builders.issuer import Bench, Reply, form, registration
from builders.pki import Leaf


@dataclass
class Protected:
    """https://orders.shop.svc.

    Attributes:
        bench: The issuer.
        port: Where the proxy listens.
    """

    bench: Bench
    port: int

    async def token(self, leaf: Leaf, **parameters: str) -> str:
        """A token that is bound to the certificate."""
        value = (await self.bench.token(leaf, **parameters)).json["access_token"]
        assert isinstance(value, str)
        return value

    async def token_of_a_key(self) -> str:
        """A token that is bound to the key of ``builders.dpop``."""
        self.bench.put(registration(dpop_bound=True))
        data = [argument for pair in form().items() for argument in ("-d", "=".join(pair))]
        made = ("-H", f"DPoP: {proof()}")
        reply = await self.bench.curl("/token", *made, *data, leaf=self.bench.authority.client())
        value = reply.json["access_token"]
        assert isinstance(value, str)
        return value

    async def get(self, token: str | None, leaf: Leaf | None, *arguments: str, path: str = "/") -> Reply:
        """What curl gets with a token and a certificate."""
        to = ("--connect-to", f"localhost:{self.bench.mtls_port}:127.0.0.1:{self.port}", "--path-as-is")
        authorization = ("-H", f"Authorization: Bearer {token}") if token else ()
        return await self.bench.curl(path, *to, *authorization, *arguments, leaf=leaf)


def listens(port: int) -> bool:
    """Whether something does, on this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
