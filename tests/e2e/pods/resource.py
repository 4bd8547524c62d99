"""A resource server: takes a token only from whoever holds the certificate that it is bound to (RFC 8705 section 3).

It reads nothing of the cluster but what is mounted: its own certificate, and the ConfigMap ``mintls-trust-bundle``,
which it reads again when it changes: the next root of an authority is in it before anything is signed by it.
"""

import base64
import hashlib
import http.server
import json
import os
import ssl
import sys
import threading
import time
from pathlib import Path

import jwt

TRUST = "/trust/ca.crt"
ISSUER = os.environ["ISSUER"]
AUDIENCE = os.environ["AUDIENCE"]


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers who is asking, or 401."""

    keys: jwt.PyJWKClient

    def do_GET(self) -> None:
        """Check the token, then whose certificate it is bound to."""
        certificate = self.connection.getpeercert(binary_form=True)  # type: ignore[attr-defined]
        thumbprint = base64.urlsafe_b64encode(hashlib.sha256(certificate).digest()).rstrip(b"=").decode()
        scheme, _, token = self.headers.get("Authorization", "").partition(" ")
        try:
            key = self.keys.get_signing_key_from_jwt(token)
            claims = jwt.decode(token, key, algorithms=["ES256"], audience=AUDIENCE, issuer=ISSUER)
        except jwt.PyJWTError as error:
            self._answer(401, {"error": "invalid_token", "detail": str(error)})
            return
        if scheme.lower() != "bearer" or claims.get("cnf", {}).get("x5t#S256") != thumbprint:
            self._answer(401, {"error": "invalid_token", "detail": "bound to another certificate"})
            return
        self._answer(200, {"client": claims["client_id"], "scope": claims["scope"]})

    def _answer(self, status: int, body: dict[str, str]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - http.server's name
        """One line a request."""
        sys.stderr.write(f"{format % arguments}\n")


def follow_trust(*contexts: ssl.SSLContext) -> None:
    """Trust what is in the bundle now; a root that is gone from it is trusted until the next start."""
    known = ""
    while True:
        now = Path(TRUST).read_text(encoding="ascii")
        if now != known:
            known = now
            for context in contexts:
                context.load_verify_locations(cadata=now)
        time.sleep(1)


def main() -> None:
    """Serve on port 8443."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain("/tls/tls.crt", "/tls/tls.key")
    context.load_verify_locations(TRUST)
    context.verify_mode = ssl.CERT_REQUIRED
    to_issuer = ssl.create_default_context(cafile=TRUST)
    Handler.keys = jwt.PyJWKClient(f"{ISSUER}/jwks", ssl_context=to_issuer)
    threading.Thread(target=follow_trust, args=(context, to_issuer), daemon=True).start()
    server = http.server.ThreadingHTTPServer(("", 8443), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.serve_forever()


if __name__ == "__main__":
    main()
