"""A token that is bound to a key of one's own (DPoP, RFC 9449), and a request with it: needs PyJWT and cryptography.

    python3 dpop.py DIRECTORY [URL]

DIRECTORY is where the Secret of a ClientCertificate is mounted. URL is a resource; without one the token is all.
"""

import base64
import hashlib
import json
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from http.client import HTTPMessage
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

KEY = ec.generate_private_key(ec.SECP256R1())


def proof(method: str, url: str, *, nonce: str | None = None, token: str | None = None) -> str:
    """A proof for one request: another one each time."""
    jwk = jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
    claims: dict[str, Any] = {"jti": str(uuid.uuid4()), "htm": method, "htu": url, "iat": int(time.time())}
    if nonce:
        claims["nonce"] = nonce
    if token:
        digest = hashlib.sha256(token.encode()).digest()
        claims["ath"] = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return jwt.encode(claims, KEY, algorithm="ES256", headers={"typ": "dpop+jwt", "jwk": jwk})


def send(request: urllib.request.Request, tls: ssl.SSLContext) -> tuple[int, HTTPMessage, bytes]:
    """Status, headers and body of the answer, whichever it is."""
    try:
        with urllib.request.urlopen(request, context=tls, timeout=10) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def ask(directory: Path, tls: ssl.SSLContext, nonce: str | None = None) -> tuple[int, HTTPMessage, bytes]:
    """Ask for a token, with the issuer's nonce where it has given one."""
    url = (directory / "token-endpoint").read_text()
    form = {"grant_type": "client_credentials", "client_id": (directory / "client-id").read_text()}
    headers = {"DPoP": proof("POST", url, nonce=nonce)}
    return send(urllib.request.Request(url, urllib.parse.urlencode(form).encode(), headers), tls)


def main() -> None:
    """A token, and a request with it if there is a URL."""
    directory = Path(sys.argv[1])
    tls = ssl.create_default_context(cafile=str(directory / "ca.crt"))
    tls.load_cert_chain(directory / "tls.crt", directory / "tls.key")
    status, headers, body = ask(directory, tls)
    if status == 400 and headers["DPoP-Nonce"]:  # the issuer demands a nonce, and says which
        status, headers, body = ask(directory, tls, headers["DPoP-Nonce"])
    answer = json.loads(body)
    sys.stdout.write(f"{json.dumps(answer)}\n")
    if status != 200 or len(sys.argv) < 3:
        return
    url, token = sys.argv[2], answer["access_token"]
    headers_of_ours = {"Authorization": f"DPoP {token}", "DPoP": proof("GET", url, token=token)}
    status, _, body = send(urllib.request.Request(url, headers=headers_of_ours), tls)
    sys.stdout.write(f"{status} {body.decode()}\n")


if __name__ == "__main__":
    main()
