"""The certificate in a Certificate message, and whatever else may come as one."""

from hypothesis import given
from hypothesis import strategies as st

from builders.pki import self_signed_client
from mintls.issuer.handshake import leaf_of

LEAF = self_signed_client()


def sized(octets: bytes, size: int = 3) -> bytes:
    return len(octets).to_bytes(size) + octets


TLS12 = b"\x0b" + sized(sized(sized(LEAF.der) + sized(b"another")))
TLS13 = b"\x0b" + sized(sized(b"", 1) + sized(sized(LEAF.der) + sized(b"", 2)))


def test_the_leaf_of_each_version() -> None:
    assert leaf_of(TLS12, tls13=False) == LEAF.certificate
    assert leaf_of(TLS13, tls13=True) == LEAF.certificate


def test_none_was_sent() -> None:
    assert leaf_of(b"\x0b" + sized(sized(b"")), tls13=False) is None
    assert leaf_of(b"\x0b" + sized(sized(b"", 1) + sized(b"")), tls13=True) is None


@given(st.integers(0, len(TLS13)), st.booleans())
def test_one_that_is_cut_off(end: int, tls13: bool) -> None:  # noqa: FBT001 - hypothesis gives it
    whole = TLS13 if tls13 else TLS12
    assert leaf_of(whole[:end], tls13=tls13) in {None, LEAF.certificate}


@given(st.binary(), st.booleans())
def test_anything_else(message: bytes, tls13: bool) -> None:  # noqa: FBT001 - hypothesis gives it
    assert leaf_of(message, tls13=tls13) is None


def test_a_certificate_of_a_version_that_x509_does_not_know() -> None:
    der = LEAF.der.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x03")
    assert der != LEAF.der
    assert leaf_of(b"\x0b" + sized(sized(sized(der))), tls13=False) is None
