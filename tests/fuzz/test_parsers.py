"""Whatever comes, a parser gives a value or raises what it documents: nothing else gets out of the pure functions."""

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.forwarded import escaped_pem, sequence, xfcc
from builders.fuzz import (
    JSON_VALUES,
    as_aiohttp_has_it,
    changed,
    changed_object,
    changed_text,
    check_refusal,
    fuzzed,
    header_values,
    json_octets,
)
from builders.issuer import SETTINGS, signing_key_made
from builders.jwks import jwk
from builders.pki import NOW, authority, self_signed_client
from builders.registrations import grant
from mintls.core.oauth.client_assertion import claimed_subject, presented_assertion
from mintls.core.oauth.client_metadata import Permitted, check_update, permit, read_metadata
from mintls.core.oauth.dpop import normalized_uri
from mintls.core.oauth.dpop_nonce import is_recent, new_nonce
from mintls.core.oauth.errors import InvalidClient, InvalidClientMetadata, InvalidRequest, InvalidToken, OAuthError
from mintls.core.oauth.form import parse_form, parse_query
from mintls.core.oauth.forwarded_certificate import Format, forwarded_chain
from mintls.core.oauth.introspection import introspected_token
from mintls.core.oauth.introspection_jwt import wants_jwt
from mintls.core.oauth.json_body import parse_json
from mintls.core.oauth.jwks_uri import JwksNotUsable, UriNotUsable, check_uri, fresh_for, keys_in
from mintls.core.oauth.registration_grant import GrantNotUsable, grant_of, read_grant, token_hash
from mintls.core.oauth.resource import access_token, wanted
from mintls.core.oauth.token_exchange import asked_audiences, expiry_of, parse_exchange
from mintls.core.oauth.token_request import claimed_client_id, is_absolute_uri, is_scope, parse_token_request
from mintls.core.pki.names import InvalidName, SubjectKind, SubjectName, normalize
from mintls.reconcile.registeredclient import as_client, registered_client
from mintls.reconcile.registration import RegistrationRefused, admit

pytestmark = pytest.mark.fuzz

FORM = "application/x-www-form-urlencoded"
TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
FORMS = (
    urlencode(
        {"grant_type": "client_credentials", "client_id": "shop:billing", "scope": "a b", "resource": "https://a"}
    ),
    urlencode({"client_assertion_type": TYPE, "client_assertion": "e30.eyJzdWIiOiJhIn0.x", "token": "x"}),
    urlencode(
        {
            "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
            "subject_token": "x",
            "subject_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "audience": "https://a",
        }
    ),
)
LEAF = authority().client()
EC = jwk(self_signed_client())


def only[T](documented: type[OAuthError], act: Callable[[], T]) -> T | None:
    """What comes of it; ``None`` where it is refused as is documented."""
    try:
        return act()
    except documented as refused:
        check_refusal(refused)
        return None


class TestForms:
    @fuzzed(200)
    @given(
        changed(*(form.encode() for form in FORMS)) | st.binary(max_size=200),
        st.just(FORM) | st.none() | header_values(FORM.encode(), b"text/plain; charset=x").map(as_aiohttp_has_it),
    )
    def test_a_body(self, body: bytes, content_type: str | None) -> None:
        form = only(InvalidRequest, lambda: parse_form(content_type, body))
        if form is None:
            return
        for read in (parse_token_request, claimed_client_id, presented_assertion, introspected_token, parse_exchange):
            only(InvalidRequest, lambda read=read: read(form))  # type: ignore[misc]
        assert all(asked_audiences(form))

    @fuzzed(200)
    @given(
        json_octets(changed_object({"grant_type": "client_credentials", "client_id": "a", "resource": ["b"]}))
        | json_octets(JSON_VALUES)
        | st.binary(max_size=60)
    )
    def test_a_body_in_json(self, body: bytes) -> None:
        form = only(InvalidRequest, lambda: parse_json(body))
        if form is not None:
            only(InvalidRequest, lambda: parse_token_request(form))

    @fuzzed(200)
    @given(
        changed_text("audience=https%3A%2F%2Fa&scope=a+b&possession=optional")
        | header_values(b"audience=a").map(as_aiohttp_has_it)
    )
    def test_a_query(self, query: str) -> None:
        form = only(InvalidRequest, lambda: parse_query(query))
        if form is not None:
            demand = only(InvalidRequest, lambda: wanted(form))
            assert demand is None or demand.audience

    @fuzzed(200)
    @given(changed_text("orders.read orders.write", "https://orders.shop.svc/a?b=%20"))
    def test_scopes_and_resources(self, text: str) -> None:
        assert not is_scope(text) or set(text) <= {chr(code) for code in range(0x20, 0x7F)} - {'"', "\\"}
        assert not is_absolute_uri(text) or (text.isascii() and "#" not in text)


class TestNames:
    @fuzzed(200)
    @given(
        changed_text(
            "CN=billing,OU=shop,O=Example\\, Inc.",
            'CN="billing, inc" + OID.2.5.4.5=#0C03626f62 , L=\\C3\\BC',
            "2.5.4.45=x,C=DE,E=a@b,1.2.3=y",
            most=6,
        )
        | st.text(max_size=60)
    )
    def test_a_distinguished_name(self, text: str) -> None:
        with suppress(InvalidName):
            assert normalize(SubjectName(SubjectKind.SUBJECT_DN, text)).value

    @fuzzed(200)
    @given(
        st.sampled_from([kind for kind in SubjectKind if kind is not SubjectKind.SUBJECT_DN]),
        changed_text(
            *("a.shop.svc", "spiffe://cluster.local/ns/shop/client/a", "https://[::1]:443/%7e?x#y", "10.0.0.7"),
            *("2001:db8::7%eth0", "a.b@shop.example"),
        )
        | st.text(max_size=60),
    )
    def test_an_alternative_name(self, kind: SubjectKind, text: str) -> None:
        with suppress(InvalidName):
            name = normalize(SubjectName(kind, text))
            if isinstance(name.value, str):
                assert normalize(SubjectName(kind, name.value)) == name


CERT, CHAIN = sequence(LEAF.certificate).encode(), ", ".join(map(sequence, LEAF.chain)).encode()
[(_, ESCAPED)] = escaped_pem(LEAF)
[(_, ELEMENT)] = xfcc(LEAF)


class TestHeaders:
    @fuzzed(200)
    @given(
        st.sampled_from(Format),
        st.lists(header_values(CERT, CHAIN, ESCAPED.encode(), ELEMENT.encode()).map(as_aiohttp_has_it), max_size=2),
        st.lists(header_values(CHAIN).map(as_aiohttp_has_it), max_size=2),
    )
    def test_a_forwarded_certificate(self, form: Format, leaf: list[str], chain: list[str]) -> None:
        def lines(name: str) -> tuple[str, ...]:
            return tuple(chain if name == "Client-Cert-Chain" else leaf)

        found = only(InvalidClient, lambda: forwarded_chain(form, lines))
        assert found is None or all(isinstance(one, bytes) for one in found)

    @pytest.mark.parametrize("form", Format)
    @fuzzed(200)
    @given(changed(CERT, ESCAPED.encode(), ELEMENT.encode(), most=2))
    def test_a_forwarded_certificate_with_a_small_mistake(self, form: Format, value: bytes) -> None:
        only(InvalidClient, lambda: forwarded_chain(form, lambda name: _single(name, as_aiohttp_has_it(value))))

    @fuzzed(200)
    @given(st.lists(header_values(b"Bearer abc.def.ghi==", b"DPoP x").map(as_aiohttp_has_it), max_size=3))
    def test_a_token_in_authorization(self, lines: list[str]) -> None:
        found = only(InvalidToken, lambda: access_token(tuple(lines)))
        assert found is None or (found.value.isascii() and found.scheme in {"bearer", "dpop"})

    @fuzzed(200)
    @given(
        header_values(b"Bearer abc").map(as_aiohttp_has_it),
    )
    def test_a_token_by_which_somebody_may_register(self, token: str) -> None:
        assert grant_of([GRANT], token) is None

    @fuzzed(200)
    @given(
        header_values(b"application/token-introspection+jwt;q=0.9, */*;q=0.1").map(as_aiohttp_has_it),
    )
    def test_what_is_accepted(self, accept: str) -> None:
        assert isinstance(wants_jwt(accept), bool)

    @fuzzed(200)
    @given(
        st.lists(header_values(b'max-age=60, no-store, max-age="1"').map(as_aiohttp_has_it), max_size=3),
        st.none() | header_values(b"60").map(as_aiohttp_has_it),
    )
    def test_how_long_keys_are_fresh(self, cache_control: list[str], age: str | None) -> None:
        assert timedelta(minutes=1) <= fresh_for(cache_control, age) <= timedelta(hours=1)

    @fuzzed(200)
    @given(
        header_values(
            b"https://a.example:8443/a/./b/../%7e", b"https://[2001:db8::1]:443/", b"https://127.0.0.1/x?y"
        ).map(as_aiohttp_has_it),
    )
    def test_a_url(self, text: str) -> None:
        normal = normalized_uri(text)
        assert normal.isascii()
        assert normalized_uri(normal) == normal
        with suppress(UriNotUsable):
            assert check_uri(text) == text


def _single(name: str, value: str) -> tuple[str, ...]:
    return () if name == "Client-Cert-Chain" else (value,)


GRANT = grant(max_clients=1)
KEY = {name: EC[name] for name in ("kty", "crv", "x", "y")}
METADATA: tuple[dict[str, Any], ...] = (
    {},
    {"scope": "orders.read", "client_name": "a", "tls_client_auth_san_dns": "a.shop.svc", "grant_types": []},
    {"tls_client_auth_subject_dn": "CN=a,O=b", "tls_client_certificate_bound_access_tokens": False},
    {"token_endpoint_auth_method": "private_key_jwt", "jwks": {"keys": [KEY]}},
    {"token_endpoint_auth_method": "private_key_jwt", "jwks_uri": "https://a.example/jwks.json"},
    {"token_endpoint_auth_method": "self_signed_tls_client_auth", "jwks": {"keys": [EC]}},
)
JWKS = changed_object(KEY, EC, names=("kid", "alg", "use", "n", "e", "d", "key_ops", "x5c"))


METADATA_LIKE = changed_object(
    *METADATA,
    names=("response_types", "redirect_uris", "client_id"),
    jwks=st.fixed_dictionaries({"keys": st.lists(JWKS, max_size=3)}),
)


def test_the_metadata_that_is_changed_would_be_registered() -> None:
    for sample in METADATA[2:]:
        assert _registered(json.dumps(sample).encode())


class TestRegistration:
    @fuzzed(200)
    @given(json_octets(METADATA_LIKE) | json_octets(JSON_VALUES) | st.binary(max_size=60))
    def test_metadata(self, body: bytes) -> None:
        _registered(body)

    @fuzzed(200)
    @given(json_octets(METADATA_LIKE), header_values(b"shop:billing").map(as_aiohttp_has_it))
    def test_an_update(self, body: bytes, client_id: str) -> None:
        read = only(InvalidClientMetadata, lambda: read_metadata("application/json", body))
        if read is not None:
            only(InvalidClientMetadata, lambda: check_update(read, client_id))

    @fuzzed(200)
    @given(
        st.dictionaries(
            st.sampled_from(["token", "methods", "scopes", "audiences", "authorities", "maxClients", "x"]),
            changed(b"t" * 40, b"tls_client_auth", b"https://a", b"default", b"100"),
        )
    )
    def test_a_grant(self, data: dict[str, bytes]) -> None:
        with suppress(GrantNotUsable):
            assert read_grant("a", "b", {"token": b"t" * 40} | data).methods


def _registered(body: bytes) -> object:
    read = only(InvalidClientMetadata, lambda: read_metadata("application/json", body))
    permitted = None if read is None else only(InvalidClientMetadata, lambda: permit(read, GRANT))
    return None if permitted is None else _admitted(permitted)


def _admitted(permitted: Permitted) -> object:
    wanted_client = registered_client("registered-1", permitted, GRANT, token_hash("x"))
    msgspec.json.encode(wanted_client)  # what the Kubernetes API is sent
    with suppress(RegistrationRefused, msgspec.ValidationError):
        return admit(as_client(wanted_client), SETTINGS.installation)
    return None


SIGNING = signing_key_made()


class TestKeysAndNonces:
    @fuzzed(200)
    @given(
        json_octets(st.fixed_dictionaries({"keys": st.lists(JWKS, max_size=3)}) | JSON_VALUES),
        st.sampled_from(["private_key_jwt", "self_signed_tls_client_auth"]),
    )
    def test_keys_at_a_url(self, document: bytes, method: str) -> None:
        with suppress(JwksNotUsable):
            keys = keys_in(document, method)
            assert keys.keys or keys.certificates

    @fuzzed(200)
    @given(changed_text(new_nonce(SIGNING, NOW)))
    def test_a_nonce(self, nonce: str) -> None:
        assert is_recent(nonce, (SIGNING,), NOW) == (nonce == new_nonce(SIGNING, NOW))

    @fuzzed(200)
    @given(changed_text("e30.eyJleHAiOjF9.x"))
    def test_when_a_foreign_token_ends_and_whose_an_assertion_is(self, token: str) -> None:
        assert isinstance(expiry_of(token), int)
        assert isinstance(claimed_subject(token), str)
