"""Headers of proxies: what each format says, and what is refused instead of being guessed at."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from builders.forwarded import Headers, client_cert, der, escaped_pem, sequence, xfcc
from builders.pki import authority
from mintls.core.oauth.errors import InvalidClient, Reason
from mintls.core.oauth.forwarded_certificate import Format, HeaderLines, forwarded_chain

LEAF = authority().client()
OTHER = authority().client()
ALONE = (der(LEAF.certificate),)
WHOLE = (*ALONE, *map(der, LEAF.chain))
GOOD: dict[Format, Callable[..., Headers]] = {
    Format.CLIENT_CERT: client_cert,
    Format.XFCC: xfcc,
    Format.ESCAPED_PEM: escaped_pem,
}
[(_, ELEMENT)] = xfcc(LEAF)
[(_, CERT_ONLY)] = xfcc(LEAF, keys="Hash Cert")
[(_, OTHERS)] = xfcc(OTHER)
[(_, ESCAPED)] = escaped_pem(LEAF)


def lines(headers: Headers) -> HeaderLines:
    return lambda name: tuple(value for given, value in headers if given.lower() == name.lower())


def values(name: str, *found: str) -> Headers:
    return [(name, value) for value in found]


READ: tuple[tuple[str, Format, Headers, tuple[bytes, ...]], ...] = (
    ("RFC 9440-2.2 the certificate", Format.CLIENT_CERT, client_cert(LEAF, chain=False), ALONE),
    ("RFC 9440-2.3 and its chain", Format.CLIENT_CERT, client_cert(LEAF), WHOLE),
    (
        "RFC 9440-2.3 the chain in several lines",
        Format.CLIENT_CERT,
        [*client_cert(LEAF, chain=False), *values("Client-Cert-Chain", *map(sequence, LEAF.chain * 2))],
        (*ALONE, *map(der, LEAF.chain * 2)),
    ),
    ("RFC 9440-2.4 no certificate", Format.CLIENT_CERT, [], ()),
    ("no certificate, in an empty header", Format.ESCAPED_PEM, values("ssl-client-cert", ""), ()),
    ("nginx", Format.ESCAPED_PEM, escaped_pem(LEAF), ALONE),
    ("Envoy, with Cert and Chain", Format.XFCC, xfcc(LEAF), WHOLE),
    ("Envoy, with Cert", Format.XFCC, xfcc(LEAF, keys="Hash Cert"), ALONE),
    ("Envoy, with Chain", Format.XFCC, xfcc(LEAF, keys="Hash Chain"), WHOLE),
    ("Envoy, no certificate", Format.XFCC, [], ()),
    ("RFC 9440 headers where XFCC is the format", Format.XFCC, client_cert(LEAF), ()),
    ("an XFCC where RFC 9440 is the format", Format.CLIENT_CERT, xfcc(LEAF), ()),
)


@pytest.mark.parametrize(("form", "headers", "chain"), [row[1:] for row in READ], ids=[row[0] for row in READ])
def test_what_a_header_says(form: Format, headers: Headers, chain: tuple[bytes, ...]) -> None:
    assert forwarded_chain(form, lines(headers)) == chain


REFUSED: tuple[tuple[str, Format, Headers], ...] = (
    ("RFC 9440-2.2 it occurs once", Format.CLIENT_CERT, client_cert(LEAF, chain=False) * 2),
    (
        "RFC 9440-2.2 it is no list",
        Format.CLIENT_CERT,
        values("Client-Cert", f"{sequence(LEAF.certificate)}, {sequence(OTHER.certificate)}"),
    ),
    ("RFC 9440-2.1 no byte sequence", Format.CLIENT_CERT, values("Client-Cert", sequence(LEAF.certificate)[1:])),
    ("RFC 9440-2.1 blanks in it", Format.CLIENT_CERT, values("Client-Cert", ":AAAA AAAA:")),
    ("RFC 8941-3.3.5 no base64", Format.CLIENT_CERT, values("Client-Cert", ":AAAAA:")),
    ("RFC 8941-3.3.5 nothing", Format.CLIENT_CERT, values("Client-Cert", "::")),
    ("RFC 8941-3.1.2 a parameter", Format.CLIENT_CERT, values("Client-Cert", f"{sequence(LEAF.certificate)};a=1")),
    (
        "RFC 9440-2.3 a chain of nothing",
        Format.CLIENT_CERT,
        values("Client-Cert-Chain", *map(sequence, LEAF.chain)),
    ),
    (
        "RFC 8941-3.1 an item that is missing",
        Format.CLIENT_CERT,
        [*client_cert(LEAF), ("Client-Cert-Chain", "")],
    ),
    ("nginx twice", Format.ESCAPED_PEM, escaped_pem(LEAF) * 2),
    ("nginx, not escaped right", Format.ESCAPED_PEM, values("ssl-client-cert", ESCAPED.replace("%0A", "%0"))),
    ("nginx, something before it", Format.ESCAPED_PEM, values("ssl-client-cert", f"x{ESCAPED}")),
    ("nginx, something after it", Format.ESCAPED_PEM, values("ssl-client-cert", f"{ESCAPED}x")),
    ("nginx, (null)", Format.ESCAPED_PEM, values("ssl-client-cert", "(null)")),
    ("nginx, beyond ASCII", Format.ESCAPED_PEM, values("ssl-client-cert", f"{ESCAPED}\u0660")),
    ("far too long", Format.ESCAPED_PEM, values("ssl-client-cert", ESCAPED + "%0A" * 30_000)),
    ("Envoy twice", Format.XFCC, xfcc(LEAF) * 2),
    ("Envoy, two elements: it appends", Format.XFCC, values("X-Forwarded-Client-Cert", f"{OTHERS},{ELEMENT}")),
    ("Envoy, without Cert", Format.XFCC, xfcc(LEAF, keys="Hash")),
    ("Envoy, without Hash", Format.XFCC, xfcc(LEAF, keys="Cert Chain")),
    ("Envoy, two Certs", Format.XFCC, values("X-Forwarded-Client-Cert", f"{ELEMENT};{CERT_ONLY}")),
    (
        "Envoy, a name that speaks of another certificate than its Hash",
        Format.XFCC,
        values("X-Forwarded-Client-Cert", f'{xfcc(OTHER, keys="Hash")[0][1]};Cert="{ESCAPED}"'),
    ),
    (
        "Envoy, Cert of another Chain",
        Format.XFCC,
        values("X-Forwarded-Client-Cert", f'{xfcc(OTHER, keys="Hash Chain")[0][1]};Cert="{ESCAPED}"'),
    ),
    ("Envoy, an open quote", Format.XFCC, values("X-Forwarded-Client-Cert", ELEMENT + ';Subject="x')),
    ("Envoy, no pairs", Format.XFCC, values("X-Forwarded-Client-Cert", "x")),
)


@pytest.mark.parametrize(("form", "headers"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_is_refused(form: Format, headers: Headers) -> None:
    with pytest.raises(InvalidClient) as refused:
        forwarded_chain(form, lines(headers))
    assert refused.value.reason is Reason.FORWARDED_CERTIFICATE


@pytest.mark.parametrize("form", Format)
@given(text=st.text(max_size=40) | st.sampled_from([ESCAPED, ELEMENT, sequence(LEAF.certificate)]), at=st.integers(0))
def test_whatever_a_header_holds_it_is_a_chain_or_refused(form: Format, text: str, at: int) -> None:
    cut = at % (len(text) + 1)
    headers = [(name, text[:cut] + text[cut + 1 :]) for name, _ in GOOD[form](LEAF)]
    try:
        chain = forwarded_chain(form, lines(headers))
    except InvalidClient:
        return
    assert all(isinstance(one, bytes) for one in chain)
