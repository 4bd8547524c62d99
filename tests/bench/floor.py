"""The issuer's HTTP server and TLS with nothing behind them: an empty 200 to whatever is asked.

``python -m bench.floor PORT FOLDER``: the folder has tls.crt, tls.key and ca.crt.
"""

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

import uvloop
from aiohttp import web

from mintls.core.pki.certificate import load_pem_chain
from mintls.issuer.directory import ServerCertificate
from mintls.issuer.listener import DIRECT, Direct, Listener
from mintls.issuer.server import refuse
from mintls.issuer.settings import Address, Limits
from mintls.issuer.tls import ListenerTLS


async def _empty(_request: web.Request) -> web.Response:
    return web.Response()


async def _serve(port: int, folder: Path) -> None:
    tls = ListenerTLS(asks_for_certificate=True)
    chain, key = (folder / "tls.crt").read_bytes(), (folder / "tls.key").read_bytes()
    authorities = (*load_pem_chain((folder / "ca.crt").read_bytes()), *load_pem_chain(chain)[1:])
    tls.update(ServerCertificate(chain, key, datetime.max.replace(tzinfo=UTC)), authorities)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", _empty)
    direct: Direct = {("POST", "/token"): _empty}  # as the issuer has it
    app[DIRECT] = direct
    async with Listener(app, Address("127.0.0.1", port), Limits(), tls.base, refuse):
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), Path(sys.argv[2])))
