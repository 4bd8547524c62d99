"""Whatever is sent to a running issuer over real TLS: an answer of RFC 6749's shape, no defect, and the next request is
answered as ever.
"""

import base64
import gc
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, quote_from_bytes, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.forwarded import Headers, client_cert, escaped_pem, xfcc
from builders.fuzz import (
    EDITS,
    JSON_VALUES,
    changed,
    changed_object,
    changed_text,
    compact,
    edited,
    fuzzed,
    header_values,
    in_a_header,
    json_octets,
)
from builders.fuzz_target import PROXIES, Target, put_signing_client
from builders.issuer import ISSUER_URL
from builders.jwks import jwk
from builders.pki import NOW, Leaf, authority, ec_key, self_signed_client
from builders.registrations import INITIAL
from mintls.core.oauth.forwarded_certificate import Format
from mintls.core.oauth.jwk import public_members

pytestmark = pytest.mark.fuzz

FORM = {"Content-Type": b"application/x-www-form-urlencoded"}
JSON = {"Content-Type": b"application/json"}
GOOD = {"grant_type": "client_credentials", "client_id": "shop:billing"}
TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
EXCHANGE = {
    "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
    "client_id": "shop:billing",
    "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
}
T = int(NOW.timestamp())
KEY = ec_key()
JWK = public_members(KEY.public_key())
ENDPOINTS = st.sampled_from([b"/token", b"/introspect", b"/revoke"])


@pytest.fixture(autouse=True, scope="module")
def _the_next_request_is_answered(target: Target) -> Any:
    put_signing_client(target, JWK)
    yield
    assert target.ask("POST", b"/token", FORM, urlencode(GOOD).encode()).status == 200


def token_of(target: Target) -> str:
    reply = target.ask("POST", b"/token", FORM, urlencode(GOOD).encode())
    value = reply.json["access_token"]
    assert isinstance(value, str)
    return value


@fuzzed(100)
@given(
    ENDPOINTS,
    changed(
        urlencode(GOOD | {"scope": "orders.read", "resource": "https://orders.shop.svc"}).encode(),
        urlencode({"client_id": "shop:billing", "token": "a.b.c", "token_type_hint": "x"}).encode(),
        urlencode(EXCHANGE | {"subject_token": "a.b.c", "audience": "https://orders.shop.svc"}).encode(),
    )
    | st.binary(max_size=100),
    st.just(FORM["Content-Type"]) | header_values(b"application/x-www-form-urlencoded; charset=utf-8"),
)
def test_a_form(target: Target, path: bytes, body: bytes, content_type: bytes) -> None:
    target.ask("POST", path, {"Content-Type": content_type}, body)


@fuzzed(100)
@given(json_octets(changed_object(GOOD | {"resource": ["https://a"]}) | JSON_VALUES) | st.binary(max_size=60))
def test_a_body_in_json(target: Target, body: bytes) -> None:
    target.ask("POST", b"/token", JSON, body[:16000])


def jwts(header: dict[str, Any], payload: dict[str, Any], **members: st.SearchStrategy[Any]) -> st.SearchStrategy[str]:
    heads = json_octets(changed_object(header, names=("kid", "crit"), **members))
    claims = json_octets(changed_object(payload, names=("nbf", "ath")))
    right = st.just(json.dumps(payload).encode())
    return (st.tuples(heads, right) | st.tuples(heads, claims)).map(lambda both: compact(*both, KEY))


CLAIMS = {"iss": "shop:batch", "sub": "shop:batch", "aud": ISSUER_URL, "exp": T + 60}


@fuzzed(100)
@given(
    ENDPOINTS,
    jwts({"alg": "ES256", "typ": "JWT"}, CLAIMS | {"jti": "1"}) | changed_text("e30.eyJzdWIiOiJhIn0.x"),
    st.integers(),
    st.booleans(),
)
def test_an_assertion(target: Target, path: bytes, assertion: str, jti: int, named: bool) -> None:  # noqa: FBT001
    good = compact(b'{"alg":"ES256"}', json.dumps(CLAIMS | {"jti": str(jti)}).encode(), KEY)
    parameters = {"grant_type": "client_credentials", "client_assertion_type": TYPE, "token": assertion}
    parameters |= {"client_id": "shop:batch"} if named else {}
    for one in (assertion, good):
        body = urlencode(parameters | {"client_assertion": one}, errors="surrogatepass").encode()
        target.ask("POST", path, FORM, body[:16000], caller="")


PROOF = {"jti": "1", "htm": "POST", "htu": "https://localhost:9443/token", "iat": T}
HEADER = {"alg": "ES256", "typ": "dpop+jwt", "jwk": JWK}


PROOFS = jwts(HEADER, PROOF, jwk=changed_object(JWK, names=("use", "kid", "alg", "d")) | JSON_VALUES).map(
    lambda proof: proof.encode()[:8000]
)


@fuzzed(100)
@given(PROOFS | header_values(b"a.b.c"))
def test_a_proof(target: Target, proof: bytes) -> None:
    body = urlencode(GOOD | {"client_id": "shop:dpop"}).encode()
    target.ask("POST", b"/token", FORM | {"DPoP": proof}, body, caller="shop/dpop")


@fuzzed(100)
@given(st.lists(EDITS, max_size=2), ENDPOINTS, st.sampled_from(["access_token", "jwt", "x"]))
def test_a_token_that_comes_back(target: Target, changes: list[Any], path: bytes, kind: str) -> None:
    token = edited(token_of(target).encode(), changes).decode(errors="replace")
    parameters = EXCHANGE | {"subject_token": token, "token": token}
    parameters["subject_token_type"] = f"urn:ietf:params:oauth:token-type:{kind}"
    target.ask("POST", path, FORM, urlencode(parameters, errors="surrogatepass").encode())


OTHER = authority().client()
OWN = self_signed_client()


WRITERS: dict[Format, Callable[[Leaf], Headers]] = {
    Format.CLIENT_CERT: client_cert,
    Format.XFCC: xfcc,
    Format.ESCAPED_PEM: escaped_pem,
}


@fuzzed(100)
@given(
    st.sampled_from(Format),
    st.sampled_from([OWN, OTHER, None]),
    st.lists(EDITS, max_size=2),
    st.none() | changed(OWN.der, OTHER.der, most=2),
)
def test_a_forwarded_certificate(
    target: Target, form: Format, leaf: Leaf | None, changes: list[Any], der: bytes | None
) -> None:
    written = WRITERS[form](leaf or target.leaf("shop", "billing"))
    headers = {name: edited(value.encode(), changes) for name, value in written}
    if der is not None:
        form, headers = Format.CLIENT_CERT, {"Client-Cert": b":" + base64.b64encode(der) + b":"}
    headers = {name: in_a_header(value)[:8000] for name, value in headers.items()}
    caller, bearer = f"edge/{PROXIES[form]}", f"Bearer {token_of(target)}".encode()
    target.ask("POST", b"/token", FORM | headers, urlencode(GOOD).encode(), caller=caller)
    target.ask("GET", b"/verify?audience=https://orders.shop.svc", headers | {"Authorization": bearer}, caller=caller)


@fuzzed(100)
@given(
    changed(b"audience=https%3A%2F%2Forders.shop.svc&scope=orders.read&possession=optional"),
    header_values(b"Bearer a.b.c", b"DPoP a.b.c"),
    PROOFS | header_values(b"a.b.c"),
    st.lists(header_values(b"GET", b"https", b"orders.shop.svc", b"/a?b"), min_size=4, max_size=4),
)
def test_a_question_of_a_proxy(
    target: Target, query: bytes, authorization: bytes, proof: bytes, forwarded: list[bytes]
) -> None:
    names = (f"X-Forwarded-{part}" for part in ("Method", "Proto", "Host", "Uri"))
    headers = dict(zip(names, forwarded, strict=True)) | {"Authorization": authorization, "DPoP": proof}
    target.ask("GET", b"/verify?" + in_a_url(query), headers, caller=f"edge/{PROXIES[Format.XFCC]}")


def in_a_url(value: bytes) -> bytes:
    """What HTTP lets through in a request line: no blank and no control."""
    return bytes(octet for octet in value if 0x20 < octet != 0x7F)


EC = jwk(OWN)
METADATA: tuple[dict[str, Any], ...] = (
    {"scope": "orders.read", "client_name": "a", "tls_client_auth_san_dns": "a.shop.svc"},
    {"tls_client_auth_subject_dn": "CN=a,O=b"},
    {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [JWK]}},
    {"token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks": {"keys": [EC]}},
)


METADATA_LIKE = json_octets(
    changed_object(
        *METADATA,
        names=("client_id", "response_types", "redirect_uris"),
        jwks=st.fixed_dictionaries(
            {"keys": st.lists(changed_object(JWK, EC, names=("kid", "use", "alg", "d")), max_size=2)}
        ),
    )
)


@fuzzed(100)
@given(
    st.sampled_from(["POST", "PUT", "GET", "DELETE"]),
    st.just(f"Bearer {INITIAL}".encode()) | header_values(f"Bearer {INITIAL}".encode()),
    METADATA_LIKE | json_octets(JSON_VALUES),
)
def test_a_registration(target: Target, method: str, authorization: bytes, body: bytes) -> None:
    path = b"/register" if method == "POST" else b"/register/shop:a"
    reply = target.ask(method, path, JSON | {"Authorization": authorization}, body[:16000], caller="")
    if reply.status == 201:
        own = JSON | {"Authorization": f"Bearer {reply.json['registration_access_token']}".encode()}
        path = f"/register/{quote(reply.json['client_id'])}".encode()
        target.ask("PUT", path, own, body[:16000], caller="")


PATHS = (
    *("/token", "/jwks", "/crl/default.crl", "/crl/default/00.crl", "/clients/shop:billing/jwks", "/verify?audience=a"),
    *("/register/shop:billing", "/authorities/default", "/.well-known/openid-configuration", "/"),
)


@fuzzed(100)
@given(
    st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"]),
    changed(*(path.encode() for path in PATHS), most=2).map(lambda path: b"/" + in_a_url(path).lstrip(b"/"))
    | st.binary(max_size=20).map(lambda path: f"/clients/{quote_from_bytes(path)}/jwks".encode()),
    st.dictionaries(
        st.sampled_from(
            [
                "X-Request-ID",
                "Accept",
                "If-None-Match",
                "Authorization",
                "Expect",
                "Cookie",
                "Range",
                "Content-Encoding",
            ]
        ),
        header_values(b"100-continue", b'"x", W/"y"', b"Bearer x", b"*/*;q=0.1", b"bytes=0-1", b"gzip", b"abc-1"),
        max_size=3,
    ),
    st.sampled_from(["", "shop/billing"]),
)
def test_any_request(target: Target, method: str, path: bytes, headers: dict[str, bytes], caller: str) -> None:
    target.ask(method, path, headers, caller=caller)


@fuzzed(50)
@given(
    changed(
        b"GET /jwks HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n",
        b"POST /token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na=b\r\n0\r\n\r\n",
        b"GET https://[::1]:443/jwks HTTP/1.0\r\n\r\n",
        b"CONNECT a:443 HTTP/1.1\r\n\r\n",
    )
    | st.binary(max_size=60)
)
def test_what_is_hardly_http(target: Target, raw: bytes) -> None:
    if target.send(raw + b"\r\n\r\n", patience=0.2) is None:
        gc.collect()  # a task that failed says so when it is collected
        target.check()


@fuzzed(100)
@given(changed(bytes.fromhex("160301003d010000390303") + bytes(32) + bytes.fromhex("000002130101000000")))
def test_what_is_no_handshake(target: Target, raw: bytes) -> None:
    target.knock(raw)
    target.check()
