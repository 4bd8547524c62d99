"""Authlib as a client of the issuer, and as the resource; ../README.md says what is asked for and what is printed."""

import base64
import hashlib
import json
import ssl
import sys
from pathlib import Path
from typing import Any

import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from joserfc.jwk import KeySet

DIRECTORY, AUDIENCE = Path(sys.argv[1]), sys.argv[2]


def read(name: str) -> str:
    return (DIRECTORY / name).read_text()


class Resource(JWTBearerTokenValidator):
    """What RFC 9068 section 4 has a resource check."""

    def __init__(self, jwks: Any) -> None:
        super().__init__(issuer=read("issuer"), resource_server=AUDIENCE)
        self._jwks = jwks

    def get_jwks(self) -> KeySet:
        return KeySet.import_key_set(self._jwks)


def session() -> OAuth2Session:
    made = OAuth2Session(read("client-id"), token_endpoint_auth_method="none", scope="orders.read")
    made.verify = str(DIRECTORY / "ca.crt")
    made.trust_env = False  # else REQUESTS_CA_BUNDLE counts for more
    if (DIRECTORY / "tls.crt").exists():
        made.cert = (str(DIRECTORY / "tls.crt"), str(DIRECTORY / "tls.key"))
    return made


def discovered(client: OAuth2Session) -> AuthorizationServerMetadata:
    url = get_well_known_url(read("issuer"), external=True)
    metadata = AuthorizationServerMetadata(client.get(url, withhold_token=True).json())
    for name in set(metadata.REGISTRY_KEYS) - {"response_types_supported"}:
        # Required (RFC 8414 section 2), and none to be named: Authlib takes an empty list for none.
        getattr(metadata, f"validate_{name}")()
    return metadata


def thumbprint() -> str:
    der = ssl.PEM_cert_to_DER_cert(read("tls.crt").partition("-----END")[0] + "-----END CERTIFICATE-----\n")
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()


def verified(client: OAuth2Session, metadata: AuthorizationServerMetadata, token: str) -> dict[str, Any]:
    resource = Resource(client.get(metadata["jwks_uri"], withhold_token=True).json())
    claims = resource.authenticate_token(token)
    resource.validate_token(claims, ["orders.read"], request=None)
    return {"header": claims.header, "claims": dict(claims)}


def seen() -> dict[str, Any]:
    client = session()
    metadata = discovered(client)
    endpoints = metadata["mtls_endpoint_aliases"]
    answer = client.fetch_token(endpoints["token_endpoint"], grant_type="client_credentials")
    token = answer["access_token"]
    outcome = {"endpoint": endpoints["token_endpoint"], "type": answer["token_type"], "thumbprint": thumbprint()}
    outcome |= verified(client, metadata, token)
    outcome["introspection"] = client.introspect_token(endpoints["introspection_endpoint"], token).json()
    client.revoke_token(endpoints["revocation_endpoint"], token).raise_for_status()
    return outcome | {"revoked": client.introspect_token(endpoints["introspection_endpoint"], token).json()}


def main() -> dict[str, Any]:
    try:
        return seen()
    except OAuthError as error:
        return {"refused": {"status": 401 if error.error == "invalid_client" else 400, "error": error.error}}
    except requests.ConnectionError as error:
        return {"failed": str(error)}


if __name__ == "__main__":
    print(json.dumps(main()))  # noqa: T201 - what it saw
