"""``GET /crl/...``: the CRLs of the authorities (RFC 5280 section 5), for whoever checks certificates by them.

::

    /crl/NAME.crl         of the CA of CertificateAuthority NAME that signs now, in DER (RFC 2585 section 3)
    /crl/NAME/KEYID.crl   of the CA with that key identifier: what a leaf has as authorityKeyIdentifier, in hexadecimal
    /crl/NAME.pem         of all its CAs in one file, for verifiers that read one
"""

import hashlib

from mintls.core.pki.crl import RevocationList, encode_lists
from mintls.issuer.errors import error_body
from mintls.issuer.exchange import Answer, Call
from mintls.issuer.services import Services

MAX_AGE_SECONDS = 60
"""So long a cache may keep a list: by how much a revocation is seen later behind one."""

_DER = "application/pkix-crl"  # RFC 2585 section 4.2
_PEM = "application/x-pem-file"


def crl(services: Services, call: Call) -> Answer:
    """The CRL that the path names."""
    found = _named(services, call.target)
    if found is None:
        return Answer(404, error_body("not_found", "no such CRL: /crl/NAME.crl, /crl/NAME/KEYID.crl or /crl/NAME.pem"))
    body, media = found
    tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"Cache-Control": f"public, max-age={MAX_AGE_SECONDS}", "ETag": tag}
    if tag in {one.strip() for line in call.header("If-None-Match") for one in line.split(",")}:
        return Answer(304, b"", headers=headers, content_type=media)
    return Answer(200, body, headers=headers, content_type=media)


def _named(services: Services, target: str) -> tuple[bytes, str] | None:
    if target.endswith(".pem"):
        lists = services.directory.lists(target.removesuffix(".pem"))
        return (encode_lists(lists), _PEM) if lists else None
    if not target.endswith(".crl"):
        return None
    name, _, key_id = target.removesuffix(".crl").partition("/")
    found = _of_key(services.directory.lists(name), key_id.lower())
    return (found.der, _DER) if found else None


def _of_key(lists: tuple[RevocationList, ...], key_id: str) -> RevocationList | None:
    return next((one for one in lists if key_id in {"", one.key_id}), None)
