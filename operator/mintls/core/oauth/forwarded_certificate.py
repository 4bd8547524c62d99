"""A client's certificate as a proxy hands it on that has ended the client's TLS: from headers to DER.

Whoever can send a request can send any header, so nothing here says that a certificate is to be believed: that follows
from who sent it, and the certificate is judged as one from a handshake is.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterator
from enum import StrEnum
from urllib.parse import unquote_to_bytes

from mintls.core.oauth.errors import InvalidClient, Reason

type HeaderLines = Callable[[str], tuple[str, ...]]
"""The lines of a header by its name, in their order, each as sent; empty if there is none."""


class Format(StrEnum):
    """How a proxy writes it down; the value is what a setting says."""

    CLIENT_CERT = "client-cert"
    """``Client-Cert`` and ``Client-Cert-Chain`` (RFC 9440)."""
    XFCC = "xfcc"
    """Envoy's ``x-forwarded-client-cert``, one element with ``Hash`` and ``Cert`` or ``Chain``."""
    ESCAPED_PEM = "escaped-pem"
    """PEM, percent-encoded, as nginx has it in ``$ssl_client_escaped_cert``, in the header ``ssl-client-cert``."""


ESCAPED_PEM_HEADER = "ssl-client-cert"
"""The name that ingress-nginx gives it; nginx itself sends whatever it is told."""

_LONGEST = 64 * 1024
# RFC 8941 section 3.3.5; RFC 9440 section 2.1 has base64 without anything else in it.
_BYTE_SEQUENCE = re.compile(r":([A-Za-z0-9+/]+={0,2}):")
_PEM = re.compile(r"\s*-----BEGIN CERTIFICATE-----\s([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----\s*")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
# One pair of an element: a value with a comma, semicolon or quote in it is quoted.
_XFCC_PAIR = re.compile(r'([A-Za-z0-9]+)=(?:"((?:[^"\\]|\\.)*)"|([^",;]*))')


def forwarded_chain(form: Format, lines: HeaderLines) -> tuple[bytes, ...]:
    """The certificate that a proxy hands on.

    Args:
        form: How it writes it down. The headers of the other formats count for nothing.
        lines: The headers of the request.

    Returns:
        The certificate and what else the client sent, leaf first, in DER; empty if there is none.

    Raises:
        InvalidClient: The headers are malformed, or contradict each other.
    """
    match form:
        case Format.CLIENT_CERT:
            return _client_cert(lines)
        case Format.XFCC:
            return _xfcc(lines)
        case Format.ESCAPED_PEM:
            return _escaped_pem(lines)


def handed_on_chain(text: str) -> tuple[bytes, ...]:
    """The certificate that a proxy hands on beside the headers, which no client can write into.

    Args:
        text: PEM, percent-encoded; "" if there is none.

    Returns:
        As ``forwarded_chain``.

    Raises:
        InvalidClient: It is malformed.
    """
    if len(text) > _LONGEST:
        raise _malformed(f"source.certificate is longer than {_LONGEST} characters")
    return tuple(_pem(text, "source.certificate"))


def _client_cert(lines: HeaderLines) -> tuple[bytes, ...]:
    """RFC 9440 sections 2.2 and 2.3. ``Client-Cert`` is there once, the chain may be in several lines."""
    leaf, chain = _single(lines, "Client-Cert"), ",".join(lines("Client-Cert-Chain"))
    if leaf is None:
        if chain:
            raise _malformed("Client-Cert-Chain without Client-Cert")
        return ()
    above = [_byte_sequence(item, "Client-Cert-Chain") for item in chain.split(",")] if chain.strip() else []
    return (_byte_sequence(leaf, "Client-Cert"), *above)


def _byte_sequence(text: str, name: str) -> bytes:
    found = _BYTE_SEQUENCE.fullmatch(text.strip(" \t"))
    if not found:
        raise _malformed(f"{name} has an item that is no byte sequence, base64 between colons (RFC 8941 section 3.3.5)")
    return _base64(found[1], name)


def _escaped_pem(lines: HeaderLines) -> tuple[bytes, ...]:
    text = _single(lines, ESCAPED_PEM_HEADER)
    return () if text is None else tuple(_pem(text, ESCAPED_PEM_HEADER))


def _xfcc(lines: HeaderLines) -> tuple[bytes, ...]:
    """One element: with several, nobody could tell which of them a client wrote itself."""
    text = _single(lines, "X-Forwarded-Client-Cert")
    if text is None:
        return ()
    values = _xfcc_values(text)
    leaf = tuple(_pem(values["cert"], "Cert")) if "cert" in values else ()
    chain = tuple(_pem(values["chain"], "Chain")) if "chain" in values else leaf
    if not chain:
        raise _malformed("X-Forwarded-Client-Cert has neither Cert nor Chain")
    if leaf and leaf != chain[:1]:
        raise _malformed("X-Forwarded-Client-Cert has a Cert that is not the first of its Chain")
    # Envoy writes a certificate's names unquoted. Were one to speak of a Cert, Envoy's own Hash would not be of it.
    if values.get("hash", "").lower() != hashlib.sha256(chain[0]).hexdigest():
        raise _malformed("X-Forwarded-Client-Cert has no Hash of the certificate")
    return chain


def _xfcc_values(text: str) -> dict[str, str]:
    values: dict[str, str] = {}
    at = 0
    while True:
        pair = _XFCC_PAIR.match(text, at)
        if not pair:
            raise _malformed("X-Forwarded-Client-Cert is not made of pairs of name and value")
        name = pair[1].lower()
        if name in {"hash", "cert", "chain"} and name in values:
            raise _malformed(f"X-Forwarded-Client-Cert has several {pair[1]}")
        values[name] = pair[3] if pair[2] is None else re.sub(r"\\(.)", r"\1", pair[2])
        at = pair.end()
        if at == len(text):
            return values
        if text[at] != ";":
            raise _malformed("X-Forwarded-Client-Cert has several elements: let the proxy set it, not append to it")
        at += 1


def _pem(text: str, name: str) -> Iterator[bytes]:
    """Certificates in PEM, percent-encoded."""
    if _BROKEN_ESCAPE.search(text) or not text.isascii():
        raise _malformed(f"{name} is not percent-encoded")
    plain = unquote_to_bytes(text).decode("latin-1")
    at = 0
    while at < len(plain):
        found = _PEM.match(plain, at)
        if not found:
            raise _malformed(f"{name} is not a certificate in PEM")
        yield _base64("".join(found[1].split()), name)
        at = found.end()


def _base64(text: str, name: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        raise _malformed(f"{name} is not base64") from None


def _single(lines: HeaderLines, name: str) -> str | None:
    """The value of a header that may be there once; ``None`` if it is not, or has nothing in it."""
    found = lines(name)
    if len(found) > 1:
        raise _malformed(f"{name} is there {len(found)} times")
    value = found[0].strip(" \t") if found else ""
    if len(value) > _LONGEST:
        raise _malformed(f"{name} is longer than {_LONGEST} characters")
    return value or None


def _malformed(detail: str) -> InvalidClient:
    return InvalidClient(Reason.FORWARDED_CERTIFICATE, detail)
