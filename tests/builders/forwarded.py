"""A client's certificate in the headers of each kind of proxy, written as the proxy writes it."""

import base64
import hashlib
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from builders.pki import Leaf

type Headers = list[tuple[str, str]]


def client_cert(leaf: Leaf, *, chain: bool = True) -> Headers:
    """RFC 9440."""
    above = [("Client-Cert-Chain", ", ".join(sequence(one) for one in leaf.chain))] if chain and leaf.chain else []
    return [("Client-Cert", sequence(leaf.certificate)), *above]


def escaped_pem(leaf: Leaf) -> Headers:
    """nginx: ``proxy_set_header ssl-client-cert $ssl_client_escaped_cert``."""
    return [("ssl-client-cert", quote(pem(leaf.certificate), safe=""))]


def xfcc(leaf: Leaf, *, keys: str = "Hash Cert Chain") -> Headers:
    """Envoy, with ``forward_client_cert_details: SANITIZE_SET``."""
    values = {
        "By": "spiffe://cluster.local/ns/edge/sa/envoy",
        "Hash": hashlib.sha256(der(leaf.certificate)).hexdigest(),
        "Cert": f'"{quote(pem(leaf.certificate), safe="")}"',
        "Chain": f'"{quote("".join(map(pem, (leaf.certificate, *leaf.chain))), safe="")}"',
        "Subject": r'"CN=a\"b;c,d"',
        "URI": "spiffe://cluster.local/ns/shop/client/billing",
    }
    wanted = {"By", "Subject", "URI", *keys.split()}
    return [("x-forwarded-client-cert", ";".join(f"{name}={values[name]}" for name in values if name in wanted))]


def sequence(certificate: x509.Certificate) -> str:
    """A byte sequence (RFC 8941 section 3.3.5)."""
    return f":{base64.b64encode(der(certificate)).decode()}:"


def pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)
