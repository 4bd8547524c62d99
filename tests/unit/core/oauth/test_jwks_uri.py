"""Which URL may be registered, how long its document is fresh, and which addresses it must not lead to."""

from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mintls.core.oauth.internal_addresses import is_internal
from mintls.core.oauth.jwks_uri import (
    CEILING,
    FLOOR,
    UNSAID,
    JwksNotUsable,
    UriNotUsable,
    check_uri,
    fresh_for,
    keys_in,
)


@pytest.mark.parametrize(
    "uri",
    [
        "https://billing.example/jwks.json",
        "https://billing.example",
        "https://billing.example:8443/a/b?c=d",
        "https://192.0.2.1/",
        "https://[2001:db8::1]:443/",
    ],
)
def test_a_url_that_may_be_registered(uri: str) -> None:
    assert check_uri(uri) == uri


@pytest.mark.parametrize(
    "uri",
    [
        *("", "billing.example", "http://billing.example/", "HTTPS:billing", "https://", "https:///a", "file:///etc"),
        *("https://a@billing.example/", "https://billing.example/#a", "https://billing.example:port/", "https://[::1/"),
        *("https://billing.example/ a", "https://billing.example/\n", "https://bücher.example/", "https://a\\b/"),
        "https://a/" + "a" * 512,
    ],
)
def test_a_url_that_may_not(uri: str) -> None:
    with pytest.raises(UriNotUsable, match="https URL without user and fragment"):
        check_uri(uri)


@pytest.mark.parametrize(
    ("lines", "age", "seconds"),
    [
        ((), None, 300),
        (("max-age=600",), None, 600),
        (("public, max-age=600",), "300", 300),
        (("MAX-AGE=600",), None, 600),
        (('max-age="600"',), None, 600),
        (("public", "max-age=600"), None, 600),
        (("max-age=600, max-age=1200",), None, 600),
        (("max-age=0",), None, 60),
        (("max-age=59",), None, 60),
        (("max-age=600",), "600", 60),
        (("max-age=86400",), None, 3600),
        (("max-age=99999999999999",), None, 300),
        (("max-age=-1",), None, 300),
        (("max-age=soon",), None, 300),
        (("max-age",), None, 300),
        (("max-age=600",), "old", 600),
        (("no-store",), None, 60),
        (("no-cache, max-age=600",), None, 60),
        (("s-maxage=600",), None, 300),
    ],
)
def test_rfc_9111_how_long_a_document_is_fresh(lines: tuple[str, ...], age: str | None, seconds: int) -> None:
    assert fresh_for(lines, age) == timedelta(seconds=seconds)


@given(st.lists(st.text()), st.none() | st.text())
def test_whatever_a_server_says_it_is_within_floor_and_ceiling(lines: list[str], age: str | None) -> None:
    assert FLOOR <= fresh_for(lines, age) <= CEILING
    assert FLOOR <= UNSAID <= CEILING


@given(st.binary(), st.sampled_from(["self_signed_tls_client_auth", "private_key_jwt"]))
def test_whatever_a_server_sends_it_is_of_use_or_refused_in_words(body: bytes, method: str) -> None:
    with pytest.raises(JwksNotUsable, match=r"."):
        keys_in(body, method)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_MEMBERS = st.sampled_from(["kty", "crv", "x", "y", "n", "e", "x5c", "use", "alg", "kid"])


@given(
    st.lists(st.dictionaries(_MEMBERS, _JSON | st.sampled_from(["EC", "RSA", "OKP", "oct", "P-256", "AQAB", "sig"]))),
    st.sampled_from(["self_signed_tls_client_auth", "private_key_jwt"]),
)
def test_whatever_a_key_looks_like_it_is_left_out_or_read(keys: list[dict[str, object]], method: str) -> None:
    try:
        body = msgspec.json.encode({"keys": keys})
    except (UnicodeError, OverflowError):
        return
    try:
        keys_in(body, method)
    except JwksNotUsable:
        return


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.9.1", "::1", "0.0.0.1", "::", "10.0.0.7", "172.16.0.1", "172.31.255.255", "192.168.1.1"),
        *("169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "100.64.0.1"),
        *("100.127.255.255", "100.100.100.200", "192.0.0.192", "168.63.129.16", "224.0.0.1", "ff02::1", "240.0.0.1"),
        *("255.255.255.255", "198.18.0.1", "192.0.2.1", "2001:db8::1", "::ffff:10.0.0.7", "::ffff:127.0.0.1"),
        *("::10.0.0.7", "64:ff9b::10.0.0.7", "64:ff9b::a9fe:a9fe", "2002:0a00:0007::1", "64:ff9b::168.63.129.16"),
        *("::ffff:168.63.129.16", "2001:0:4136:e378:8000:63bf:f5ff:fff8", "", "localhost", "0x7f000001", "2130706433"),
    ],
)
def test_an_internal_address(address: str) -> None:
    assert is_internal(address)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "172.32.0.1", "100.63.255.255", "100.128.0.1", "9.255.255.255", "2606:4700::1", "64:ff9b::1.1.1.1"],
)
def test_one_that_everybody_can_reach(address: str) -> None:
    assert not is_internal(address)
