"""A client whose only credential is the Secret of a ClientCertificate, with nothing but Python's own library.

    python client.py /credential orders.read https://orders.shop.svc/orders [resource-ca.crt]

It reads the Secret again when it was renewed, and uses a token only over the certificate that it is bound to
(RFC 8705 section 6.3).
"""

import json
import ssl
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path


class Credential:
    """The files of a Secret, as they are now, and the token that was got with them."""

    def __init__(self, folder: Path, resource_ca: str | None) -> None:
        # Files that belong together: the kubelet swaps the whole directory, so its link is followed once.
        data = folder / "..data"
        self.folder = data.resolve() if data.is_symlink() else folder
        self.certificate = (self.folder / "tls.crt").read_text()
        # Made once for each certificate: connections of a new one are never mixed with those of an old one.
        self.to_issuer = self._tls(str(self.folder / "ca.crt"))
        self.to_resources = self._tls(resource_ca)
        self.token = ""
        self.token_is_due = 0.0

    def _tls(self, ca: str | None) -> ssl.SSLContext:
        """Shows the certificate, and trusts *ca*, or what the system trusts."""
        context = ssl.create_default_context(cafile=ca)
        context.load_cert_chain(self.folder / "tls.crt", self.folder / "tls.key")
        return context

    def authorization(self, scope: str) -> str:
        """A token that lives, from the issuer only when the last one is due."""
        if time.monotonic() >= self.token_is_due:
            form = {
                "grant_type": "client_credentials",
                "client_id": (self.folder / "client-id").read_text(),
                "scope": scope,
            }
            endpoint = (self.folder / "token-endpoint").read_text()
            began = time.monotonic()
            with urllib.request.urlopen(
                endpoint, urllib.parse.urlencode(form).encode(), timeout=10, context=self.to_issuer
            ) as response:
                answer = json.load(response)
            self.token = answer["access_token"]
            # Not at the last moment: the request has to arrive, too.
            self.token_is_due = began + answer["expires_in"] * 3 / 4
        return f"Bearer {self.token}"


@dataclass
class Client:
    """Calls resources with a bound token."""

    folder: Path
    scope: str
    resource_ca: str | None = None
    credential: Credential | None = None

    def get(self, url: str) -> bytes:
        """What a resource answers."""
        credential = self._current()
        try:
            return self._get(url, credential)
        except urllib.error.HTTPError as error:
            if error.code != 401:
                raise
            # The token ended before its time: it was revoked, or its signing key was removed. Once, not for ever.
            credential.token_is_due = 0.0
            return self._get(url, credential)

    def _get(self, url: str, credential: Credential) -> bytes:
        request = urllib.request.Request(url, headers={"Authorization": credential.authorization(self.scope)})
        with urllib.request.urlopen(request, timeout=10, context=credential.to_resources) as response:
            return bytes(response.read())

    def _current(self) -> Credential:
        """The credential, read anew when the Secret has another certificate; its token goes with it."""
        if self.credential is None or (self.folder / "tls.crt").read_text() != self.credential.certificate:
            self.credential = Credential(self.folder, self.resource_ca)
        return self.credential


if __name__ == "__main__":
    mounted, scopes, resource, *ca = sys.argv[1:]
    sys.stdout.buffer.write(Client(Path(mounted), scopes, ca[0] if ca else None).get(resource))
