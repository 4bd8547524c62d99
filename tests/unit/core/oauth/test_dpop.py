"""URLs in the one way to write them, proofs of any content, and what a full memory of proofs does."""

from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.dpop import KEY, proof
from builders.pki import NOW, SECOND
from mintls.core.oauth.dpop import normalized_uri, read_proof
from mintls.core.oauth.errors import InvalidDpopProof, TemporarilyUnavailable
from mintls.core.oauth.spent import Spent, Use
from mintls.issuer.replays import Replays


@pytest.mark.parametrize(
    ("given_url", "normal"),
    [
        ("https://a.example/token", "https://a.example/token"),
        ("HTTPS://A.Example:443/token?x=1#y", "https://a.example/token"),
        ("https://a.example:8443/token", "https://a.example:8443/token"),
        ("http://a.example:80", "http://a.example/"),
        ("https://a.example", "https://a.example/"),
        ("https://a.example/%7e%2f%2F", "https://a.example/~%2F%2F"),
        ("https://a.example/a/./b/../c", "https://a.example/a/c"),
        ("https://a.example/../a/..", "https://a.example/"),
        ("https://a.example/a//b", "https://a.example/a//b"),
        ("https://[2001:DB8::1]:443/a", "https://[2001:db8::1]/a"),
        ("https://user@a.example/", ""),
        ("ftp://a.example/", ""),
        ("https:///a", ""),
        ("https://a.example:x/", ""),
        ("https://[a/", ""),
        ("/token", ""),
        ("", ""),
        ("https://\u00e4.example/", ""),
    ],
)
def test_rfc_3986_6_2(given_url: str, normal: str) -> None:
    assert normalized_uri(given_url) == normal


@given(st.text(max_size=200) | st.integers(0, 400).map(lambda at: proof()[:at] + proof()[at + 1 :]))
def test_whatever_a_proof_is_it_is_refused_or_read(text: str) -> None:
    try:
        read_proof((text,), method="POST", urls={"https://localhost:9443/token"}, now=NOW)
    except InvalidDpopProof:
        return
    pytest.fail("a proof with a letter less holds")


def spent(identifier: str, seconds: int = 60) -> Spent:
    return Spent(Use.DPOP_PROOF, "shop:billing", identifier, NOW + timedelta(seconds=seconds))


def test_a_full_memory_forgets_nothing_that_is_still_good() -> None:
    replays = Replays(size=2)
    assert replays.first(spent("1"), NOW)
    assert replays.first(spent("2"), NOW)
    with pytest.raises(TemporarilyUnavailable):
        replays.first(spent("3"), NOW)
    assert not replays.first(spent("1"), NOW)
    assert replays.first(spent("3", 120), NOW + 60 * SECOND)


PUBLIC = KEY.as_dict(private=False)


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (lambda: proof(header={"jwk": PUBLIC | {"use": []}}), "use must be a string"),
        (lambda: proof(header={"jwk": PUBLIC | {"alg": {}}}), "alg must be a string"),
        (lambda: proof(header={"jwk": PUBLIC | {"kty": "\ud800"}}), r"Unsupported kty: \ud800"),
        (lambda: proof(iat=10**400), "iat is in the future"),
        (lambda: proof(iat=-(10**400)), "iat is too long ago"),
    ],
)
def test_a_member_of_another_type_is_refused_in_words_that_can_be_logged(made: Callable[[], str], why: str) -> None:
    with pytest.raises(InvalidDpopProof) as refused:
        read_proof((made(),), method="POST", urls={"https://localhost:9443/token"}, now=NOW)
    assert why in msgspec.json.decode(msgspec.json.encode(refused.value.detail))


def test_a_method_that_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidDpopProof) as refused:
        read_proof((proof(),), method="\udcff", urls={"https://localhost:9443/token"}, now=NOW)
    assert r"the method is '\udcff'" in refused.value.detail
