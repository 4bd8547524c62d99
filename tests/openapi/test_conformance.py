"""What a running issuer answers over real TLS is what docs/openapi.yaml says, whatever it is asked.

schemathesis makes the requests from the document and compares the answers with it: status, media type, headers, schema.
"""

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from builders.forwarded import client_cert
from builders.fuzz import compact, fuzzed
from builders.fuzz_target import PROXIES, Target, put_signing_client, target_in_thread
from builders.issuer import ISSUER_URL, Bench, registration, signing_key_made
from builders.openapi import DOCUMENT, Operation, operations
from builders.pki import DAY, NOW, Leaf, ec_key, uri
from builders.registrations import INITIAL
from mintls.core.oauth.client_assertion import ASSERTION_TYPE
from mintls.core.oauth.client_signing_keys import ClientSigningKeys
from mintls.core.oauth.forwarded_certificate import Format
from mintls.core.oauth.jwk import public_members
from mintls.core.pki.crl import sign_list

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS = tuple(operations())
OPERATOR = "spiffe://cluster.local/ns/mintls-system/operator"
AUDIENCE = "https://orders.shop.svc"
BILLING = {"client_id": "shop:billing"}
KEY = ec_key()


@dataclass(frozen=True)
class Good:
    """A request that gets what the operation is there for."""

    status: int
    caller: Leaf | None = None
    path_parameters: dict[str, Any] = field(default_factory=dict)
    query: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] | None = None


@dataclass(frozen=True)
class Place:
    """The issuer, and what is in it."""

    target: Target
    directory: Path
    sessions: dict[str, requests.Session] = field(default_factory=dict)

    @property
    def bench(self) -> Bench:
        return self.target.bench

    def base_url(self, listener: str) -> str:
        ports = {"open": self.bench.open_port, "mtls": self.bench.mtls_port, "probe": self.target.probe_port}
        return f"{'http' if listener == 'probe' else 'https'}://localhost:{ports[listener]}"

    def session(self, caller: Leaf | None) -> requests.Session:
        """Connections with one certificate, or none."""
        name = f"c{caller.facts.serial:x}" if caller else ""
        if name not in self.sessions:
            session = requests.Session()
            session.trust_env = False  # else a bundle that the environment names would take the place of this one
            session.verify = str(self.bench.ca_file)
            if caller:
                crt, key = caller.write(self.directory, name)
                session.cert = (str(crt), str(key))
            self.sessions[name] = session
        return self.sessions[name]

    def call(self, operation: Operation, case: schemathesis.Case, caller: Leaf | None) -> int:
        """Make the request, compare the answer with the document; its status."""
        ca = str(self.bench.ca_file)  # schemathesis has a default of its own, which it puts before the session's
        response = case.call(base_url=self.base_url(operation.listener), session=self.session(caller), verify=ca)
        case.validate_response(response, checks=CHECKS)
        self.target.check()
        return int(response.status_code)

    def token(self, *, mtls: bool = True) -> str:
        """A new access token: of shop:billing, or of shop:batch, which has no certificate."""
        caller, client = (self.target.leaf("shop", "billing"), BILLING) if mtls else (None, assertion())
        body = client | {"grant_type": "client_credentials", "scope": "orders.read"}
        url = f"{self.base_url('mtls' if mtls else 'open')}/token"
        return str(self.session(caller).post(url, data=body, timeout=10).json()["access_token"])

    @property
    def crl_key(self) -> str:
        """Key identifier of the CA whose CRL there is."""
        return self.bench.issuer.directory.lists("default")[0].key_id

    def registered(self) -> dict[str, Any]:
        """A new client."""
        headers = {"Authorization": f"Bearer {INITIAL}"}
        answer = self.session(None).post(f"{self.base_url('open')}/register", json={}, headers=headers, timeout=10)
        value: dict[str, Any] = answer.json()
        return value


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with target_in_thread(tmp_path_factory.mktemp("issuer")) as target:
        bench = target.bench
        put_signing_client(target, public_members(KEY.public_key()))
        bench.put(registration("own", dedicated_key=True))
        own = {registration("own").uid: (signing_key_made(),)}
        bench.issuer.directory.put_asked_keys(ClientSigningKeys(dedicated=own))
        ca = bench.authority
        crl = sign_list(ca.intermediate, ca.signer.key, {}, number=1, this_update=NOW, next_update=NOW + DAY)
        bench.issuer.directory.put_lists("default", (crl,))
        value = Place(target, tmp_path_factory.mktemp("callers"))
        yield value
        for session in value.sessions.values():
            session.close()


def assertion() -> dict[str, str]:
    now = int(NOW.timestamp())
    claims = {"iss": "shop:batch", "sub": "shop:batch", "aud": ISSUER_URL, "exp": now + 60, "jti": secrets.token_hex(8)}
    signed = compact(b'{"alg":"ES256"}', json.dumps(claims).encode(), KEY)
    return {"client_assertion": signed, "client_assertion_type": ASSERTION_TYPE}


def good(place: Place, operation: Operation) -> Good:
    """A good request of an operation."""
    mtls = operation.listener == "mtls"
    billing = place.target.leaf("shop", "billing")
    operator = place.bench.authority.client(uri(OPERATOR))
    caller, client = (billing, BILLING) if mtls else (None, assertion())
    make: dict[str, Callable[[], Good]] = {
        "token": lambda: Good(200, caller, body=client | {"grant_type": "client_credentials"}),
        "introspection": lambda: Good(200, caller, body=client | {"token": place.token()}),
        "revocation": lambda: Good(200, caller, body=client | {"token": place.token(mtls=mtls)}),
        "clientJwks": lambda: Good(200, path_parameters={"client_id": "shop:own"}),
        "crl": lambda: Good(200, path_parameters={"name": "default"}),
        "crlBundle": lambda: Good(200, path_parameters={"name": "default"}),
        "crlOfKey": lambda: Good(200, path_parameters={"name": "default", "key_id": place.crl_key}),
        "register": lambda: Good(201, headers=_bearer(INITIAL), body={}),
        "readRegistration": lambda: Good(200, operator, {"client_id": "shop:billing"}) if mtls else managed(place, 200),
        "updateRegistration": lambda: managed(place, 200, update=True),
        "deleteRegistration": lambda: managed(place, 204),
        "verify": lambda: passing(place, billing),
        "verifyBehind": lambda: passing_behind(place, billing),
        "authority": lambda: Good(200, operator, {"name": "default"}),
    } | dict.fromkeys(PLAIN, lambda: Good(200))
    return make[operation.id]()


PLAIN = ("metadata", "openidConfiguration", "jwks", "livez", "readyz", "metrics")


def managed(place: Place, status: int, *, update: bool = False) -> Good:
    """By a client that has registered itself."""
    made = place.registered()
    own = {"client_id": made["client_id"]}
    return Good(status, None, own, {}, _bearer(made["registration_access_token"]), own if update else None)


def passing(place: Place, client: Leaf) -> Good:
    """By a proxy, about a request of a client."""
    proxy = place.target.leaf("edge", PROXIES[Format.CLIENT_CERT])
    headers = dict(client_cert(client)) | _bearer(place.token())
    return Good(200, proxy, query={"audience": AUDIENCE, "scope": "orders.read"}, headers=headers)


def passing_behind(place: Place, client: Leaf) -> Good:
    """The same, of a path behind a prefix."""
    same = passing(place, client)
    demand = {"X-Token-Demand": f"audience={AUDIENCE}&scope=orders.read"}
    return replace(same, query={}, path_parameters={"path": "orders/1"}, headers=dict(same.headers) | demand)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_a_good_request(place: Place, operation: Operation) -> None:
    request = good(place, operation)
    body = {} if request.body is None else {"body": request.body, "media_type": media_type(operation)}
    case = SCHEMA[operation.path][operation.method].Case(
        path_parameters=request.path_parameters, query=request.query, headers=request.headers, **body
    )
    assert place.call(operation, case, request.caller) == request.status


def media_type(operation: Operation) -> str:
    """The first that is described."""
    described = DOCUMENT["paths"][operation.path][operation.method.lower()]["requestBody"]
    return str(next(iter(described["content"])))


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_any_request(place: Place, operation: Operation) -> None:
    described = SCHEMA[operation.path][operation.method]
    cases = [described.as_strategy(mode) for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)]
    request = good(place, operation)

    @fuzzed(20)
    @given(st.one_of(cases), st.booleans(), st.booleans())
    def each(case: schemathesis.Case, known: bool, near: bool) -> None:  # noqa: FBT001 - hypothesis gives them
        if near:
            become(case, request)
        place.call(operation, case, request.caller if known else None)

    each()


def become(case: schemathesis.Case, request: Good) -> None:
    """Take over what makes it a request of somebody who may."""
    case.path_parameters = {**(case.path_parameters or {}), **request.path_parameters}
    case.query = {**(case.query or {}), **request.query}
    case.headers = {**(case.headers or {}), **request.headers}
    if request.body is not None and isinstance(case.body, dict):
        case.body = {**case.body, **request.body}
