"""What a CA elsewhere answered is believed in nothing: each thing that may be wrong with it is found."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from cryptography import x509

from builders import pki
from builders.pki import HOUR, NOW, Leaf
from mintls.core.pki.answer import Answer, Asked, check_answer
from mintls.core.pki.certificate import encode_pem
from mintls.core.pki.errors import AnswerWrong
from mintls.core.pki.names import normalize
from mintls.core.pki.origin import Origin

CA, OTHER = pki.authority("step"), pki.authority("step")
NAMES = pki.uri(pki.CLIENT_ID)
KEY = pki.ec_key()


def asked(**changes: object) -> Asked:
    names = frozenset(normalize(name) for name in NAMES)
    one = Asked(KEY.public_key(), names, "client", timedelta(hours=24), timedelta(minutes=1))
    return replace(one, **changes)  # type: ignore[arg-type] # each test knows its field


def leaf(ca: pki.Authority = CA, **changes: object) -> Leaf:
    return ca.client(**({"key": KEY, "not_after": NOW + HOUR} | changes))  # type: ignore[arg-type] # as above


def check(pem: bytes, question: Asked | None = None) -> Answer:
    return check_answer(pem, question or asked(), (OTHER.root, CA.root), NOW)


def test_what_was_asked_for_is_taken_with_its_chain_and_without_the_root() -> None:
    answer = check(leaf().tls_crt)
    assert (answer.root, answer.chain) == (CA.root, (CA.intermediate,))
    whole = check(encode_pem(leaf().certificate, CA.intermediate, CA.root))
    assert (whole.root, whole.chain) == (CA.root, (CA.intermediate,))
    twice = check(encode_pem(leaf().certificate, CA.intermediate, CA.intermediate))
    assert (twice.root, twice.chain) == (CA.root, (CA.intermediate,))


@pytest.mark.parametrize(
    ("pem", "question", "message"),
    [
        (lambda: b"", asked(), "this is not a certificate in PEM"),
        (lambda: leaf(key=pki.ec_key()).tls_crt, asked(), "it is for another key"),
        (lambda: encode_pem(CA.intermediate), asked(key=CA.intermediate.public_key()), "it is a CA's certificate"),
        (
            lambda: leaf(san=(*NAMES, *pki.dns("admin.example"))).tls_crt,
            asked(),
            "it has sanDNS 'admin.example'$",
        ),
        (lambda: leaf(subject="CN=admin").tls_crt, asked(), "it has subjectDN"),
        (lambda: leaf(san=pki.dns("admin.example")).tls_crt, asked(), "it has sanDNS 'admin.example', lacks sanURI"),
        (lambda: leaf(origin=Origin("ClientCertificate", "1")).tls_crt, asked(), "it has others"),
        (lambda: leaf().tls_crt, asked(usage="server"), "its extended key usage lacks serverAuth"),
        (lambda: leaf().tls_crt, asked(duration=timedelta(minutes=50)), "longer than it was asked for"),
        (lambda: leaf().tls_crt, asked(shortest=timedelta(hours=2)), "sooner than policy.minDuration lets it"),
        (
            lambda: leaf(not_before=NOW + timedelta(minutes=10)).tls_crt,
            asked(),
            "it begins at .* only: compare the clocks",
        ),
        (lambda: encode_pem(leaf().certificate), asked(), "does not lead to a root of spec.external.caBundle"),
        (
            lambda: encode_pem(leaf().certificate, OTHER.intermediate),
            asked(),
            "its certificates are not each signed by the next one",
        ),
        (
            lambda: leaf(pki.authority("step")).tls_crt,
            asked(),
            "does not lead to a root of spec.external.caBundle",
        ),
    ],
)
def test_what_is_wrong_is_named(pem: Callable[[], bytes], question: Asked, message: str) -> None:
    with pytest.raises(AnswerWrong, match=message):
        check(pem(), question)


def test_clocks_may_be_minutes_apart() -> None:
    assert check(leaf(not_before=NOW + timedelta(minutes=4)).tls_crt).root == CA.root
    assert check(leaf().tls_crt, asked(duration=timedelta(minutes=57))).root == CA.root


def test_what_a_strict_verifier_would_refuse_is_not_handed_out() -> None:
    issuer, key = CA.intermediate, CA.signer.key
    without = pki.raw(KEY.public_key(), issuer, key, not_after=NOW + HOUR, leave_out=(x509.AuthorityKeyIdentifier,))
    with pytest.raises(AnswerWrong, match="no verifier would take it"):
        check(encode_pem(without, issuer))
