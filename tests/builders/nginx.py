"""A real nginx with a file of docs/examples, of which only addresses and paths are other ones."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from builders.processes import started
from builders.protected import listens

_WRAPPING = """\
daemon off;
master_process off;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    include {directory}/example.conf;
    server {{
        listen 127.0.0.1:{upstream};
        return 200 "client=$http_x_token_client_id scope=$http_x_token_scope\\n";
    }}
}}
"""


def nginx_program() -> str | None:
    """Where nginx is, ``None`` if it is not installed (Debian: apt-get install nginx-light)."""
    return shutil.which("nginx") or shutil.which("/usr/sbin/nginx")


@asynccontextmanager
async def running_nginx(
    program: str, example: Path, directory: Path, *, port: int, upstream: int, changes: Mapping[str, str]
) -> AsyncIterator[None]:
    """nginx with the example at a port, and something behind it that says whom it was told of."""
    _write(example, directory, upstream, changes)
    process = started([program, "-e", str(directory / "error.log"), "-c", str(directory / "nginx.conf")])
    try:
        while not listens(port):
            assert process.poll() is None, (directory / "error.log").read_text()
            await asyncio.sleep(0.02)
        yield
    finally:
        process.terminate()
        process.wait()


def _write(example: Path, directory: Path, upstream: int, changes: Mapping[str, str]) -> None:
    text = example.read_text()
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    (directory / "example.conf").write_text(text)
    (directory / "nginx.conf").write_text(_WRAPPING.format(directory=directory, upstream=upstream))
