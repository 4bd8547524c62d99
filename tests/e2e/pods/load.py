"""A workload that asks for token after token, and reads its Secret anew for each (RFC 8705 section 6.3).

Each token is used at the resource at once. A connection that fails is tried again for ten seconds; anything else that
is not a token, and a connection that never comes, is a failure. Prints one line of JSON a second: what was so far.
"""

import collections
import http.client
import json
import os
import signal
import ssl
import sys
import time
import urllib.parse
from pathlib import Path

CREDENTIAL = Path("/credential")
RESOURCE = os.environ["RESOURCE"]
PATIENCE = 10.0

counts: dict[str, int] = {"tokens": 0, "uses": 0, "retries": 0, "failures": 0}
failures: list[str] = []
retried: collections.Counter[str] = collections.Counter()
certificates: set[str] = set()
stopped: list[int] = []


def main() -> None:
    """Ask until told to stop."""
    signal.signal(signal.SIGTERM, lambda number, _frame: stopped.append(number))
    told = 0.0
    while not stopped:
        attempt()
        if time.monotonic() - told > 1:
            told = time.monotonic()
            tell()
        time.sleep(0.02)
    tell()


def attempt() -> None:
    """One token, and one use of it."""
    began = time.monotonic()
    while True:
        try:
            # The kubelet swaps the whole directory: its link, read once, leads to files that belong together.
            folder = CREDENTIAL / (CREDENTIAL / "..data").readlink()
            use(fetch(folder), folder)
        except (OSError, http.client.HTTPException) as error:
            if time.monotonic() - began < PATIENCE:
                counts["retries"] += 1
                retried[f"{type(error).__name__}: {error}"[:200]] += 1
                time.sleep(0.1)
                continue
            fail(f"no connection for {PATIENCE} s: {error!r}")
        except ValueError as error:
            fail(str(error))
        return


def fetch(folder: Path) -> str:
    """A token by the certificate in *folder*; ValueError for any answer but one."""
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    certificates.add((folder / "tls.crt").read_text())
    endpoint = urllib.parse.urlsplit((folder / "token-endpoint").read_text())
    form = {"grant_type": "client_credentials", "client_id": (folder / "client-id").read_text()}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    connection = http.client.HTTPSConnection(endpoint.netloc, context=context, timeout=5)
    try:
        connection.request("POST", endpoint.path, urllib.parse.urlencode(form), headers)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise ValueError(f"token endpoint: {answer.status} {body.decode(errors='replace')}")
    counts["tokens"] += 1
    return str(json.loads(body)["access_token"])


def use(token: str, folder: Path) -> None:
    """Show the token to the resource over the certificate that it is bound to; ValueError if it is not taken."""
    context = ssl.create_default_context(cafile="/resource/tls.crt")
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    connection = http.client.HTTPSConnection(RESOURCE, context=context, timeout=5)
    try:
        connection.request("GET", "/orders", headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise ValueError(f"resource: {answer.status} {body.decode(errors='replace')}")
    counts["uses"] += 1


def fail(reason: str) -> None:
    """Count it, and keep the first few words of the first few."""
    counts["failures"] += 1
    if len(failures) < 5:
        failures.append(reason[:300])


def tell() -> None:
    """One line."""
    line = json.dumps(counts | {"certificates": len(certificates), "reasons": failures, "retried": retried})
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
