"""Which intermediates that were replaced go on signing CRLs."""

from datetime import timedelta

import pytest

from builders.pki import DAY, HOUR, NOW, Authority, authority, ec_key, serial
from mintls.core.pki.certificate import encode_pem
from mintls.core.pki.keys import encode_private_key
from mintls.core.pki.profiles import IntermediateProfile
from mintls.core.pki.signing import sign_intermediate
from mintls.reconcile.credential import Contents
from mintls.reconcile.formerkeys import MOST, former_after, former_keys

ROOT = authority("root")


def intermediate(begins: int = 0, of: Authority = ROOT, ends: timedelta = 90 * DAY) -> dict[str, bytes]:
    """Another intermediate, made so many hours after the first could be, as its Secret has it."""
    key = ec_key()
    start = NOW - 2 * DAY + begins * HOUR
    profile = IntermediateProfile(f"intermediate {begins}", start, NOW + ends)
    made = sign_intermediate(profile, key.public_key(), of.root_signer, serial())
    return {"tls.crt": encode_pem(made), "tls.key": encode_private_key(key), "ca.crt": encode_pem(of.root)}


def replaced(*chain: dict[str, bytes]) -> dict[str, bytes]:
    """The Secret of the last one, after each took the place of the one before."""
    files = chain[0]
    for following in chain[1:]:
        former = former_after(Contents(files), (ROOT.root,), NOW)
        files = {**following, **{name: pem for one in former for name, pem in one.files.items()}}
    return files


def names(files: dict[str, bytes], *roots: Authority) -> list[str]:
    found = former_keys(Contents(files), [one.root for one in roots or (ROOT,)], NOW)
    return [one.certificate.subject.rfc4514_string() for one in found]


def test_none_before_one_was_replaced() -> None:
    assert names(intermediate()) == []


def test_all_that_have_not_ended_the_latest_first() -> None:
    files = replaced(intermediate(0), intermediate(1), intermediate(2))
    assert names(files) == ["CN=intermediate 1", "CN=intermediate 0"]


def test_not_one_that_has_ended() -> None:
    files = replaced(intermediate(0, ends=HOUR), intermediate(1))
    assert former_keys(Contents(files), (ROOT.root,), NOW + HOUR)
    assert former_keys(Contents(files), (ROOT.root,), NOW + HOUR + timedelta(seconds=1)) == ()


def test_not_one_of_a_root_that_nobody_knows_any_more() -> None:
    files = replaced(intermediate(0), intermediate(1))
    assert names(files, authority("root")) == []


def test_no_more_than_a_few() -> None:
    files = replaced(*map(intermediate, range(MOST + 3)))
    assert len(names(files)) == MOST


@pytest.mark.parametrize(
    "broken",
    [
        {"tls.crt": b"x", "tls.key": b"y"},
        {},
        intermediate() | {"tls.key": encode_private_key(ec_key())},
        {"tls.crt": ROOT.client().tls_crt, "tls.key": b""},
        intermediate(of=authority("other")),
    ],
    ids=["not PEM", "empty", "another key", "a leaf without a key", "of another root"],
)
def test_nothing_that_is_no_intermediate_of_ours(broken: dict[str, bytes]) -> None:
    assert former_after(Contents(broken), (ROOT.root,), NOW) == ()


def test_a_leaf_is_none() -> None:
    key = ec_key()
    leaf = Authority(ROOT.root, ROOT.root_key, ROOT.root_signer).client(key=key)
    files = {"tls.crt": leaf.tls_crt, "tls.key": leaf.tls_key}
    assert former_after(Contents(files), (ROOT.root,), NOW) == ()


def test_the_key_is_not_in_the_repr() -> None:
    [one] = former_after(Contents(intermediate()), (ROOT.root,), NOW)
    assert b"PRIVATE KEY" in one.key
    assert "PRIVATE KEY" not in repr(one)
