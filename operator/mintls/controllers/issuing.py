"""Make a key and a leaf for what a decision wants. Shared by client certificates and the issuer's own."""

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from mintls.controllers.certificatesource import CertificateSource, Order
from mintls.controllers.entropy import new_key, new_salt
from mintls.core.pki.certificate import CertificateFacts, encode_pem
from mintls.core.pki.keys import PrivateKey, encode_private_key, encoding_of, load_private_key
from mintls.core.pki.outputformats import further_files
from mintls.reconcile.credential import (
    BUNDLE_DIGEST,
    CERTIFICATE_DIGEST,
    COMPONENT,
    CONTENTS_DIGEST,
    MANAGED_BY,
    REVISION,
    ROOT_KEY,
    Contents,
    Wanted,
    bundle_digest,
)
from mintls.reconcile.keystores import Made, Passwords, make


@dataclass(frozen=True, slots=True)
class Pair:
    """A leaf with its chain and its key, as they stand in a Secret; ``tls_key`` is empty where the key is elsewhere.

    ``root_key`` is the fingerprint of the root that it leads to, if its authority has several that it may be.
    """

    leaf: CertificateFacts
    tls_crt: bytes
    tls_key: bytes = field(repr=False)
    root_key: str = ""

    @property
    def files(self) -> dict[str, bytes]:
        """What of it goes into the Secret."""
        return {"tls.crt": self.tls_crt} | ({"tls.key": self.tls_key} if self.tls_key else {})


async def issue(
    wanted: Wanted,
    not_before: datetime,
    not_after: datetime,
    source: CertificateSource,
    *,
    kept_key: PrivateKey | None = None,
    request: str = "",
) -> Pair:
    """Have a leaf signed for a new key, for ``kept_key``, or for that of a ``request``.

    Raises:
        SigningRefused: The authority may not sign this.
        SourceError: A CA elsewhere did not sign this.
    """
    key = None if wanted.request_key else kept_key or await _make_key(wanted)
    public = key.public_key() if key else wanted.request_key
    if public is None:
        raise AssertionError("a key is made where none was requested for")
    signed = await source.sign(Order(wanted, not_before, not_after, public, key, request))
    tls_key = encode_private_key(key, wanted.encoding) if key else b""
    return Pair(signed.leaf, encode_pem(signed.leaf.certificate, *signed.chain), tls_key, signed.root_key)


async def _make_key(wanted: Wanted) -> PrivateKey:
    # An RSA key takes tens of milliseconds, in which nothing else would happen.
    return await asyncio.to_thread(new_key, wanted.key) if wanted.key.algorithm == "RSA" else new_key(wanted.key)


def kept_pair(contents: Contents, wanted: Wanted) -> dict[str, bytes]:
    """``tls.crt`` and ``tls.key`` as they stand in a Secret, the key written as it is wanted now, if it is there.

    Raises:
        InvalidKey: There is no usable key in it, or it has no such encoding.
    """
    if wanted.request_key is not None:
        return {"tls.crt": contents.data["tls.crt"]}
    pem = contents.data["tls.key"]
    if encoding_of(pem) != wanted.encoding:
        pem = encode_private_key(load_private_key(pem), wanted.encoding)
    return {"tls.crt": contents.data["tls.crt"], "tls.key": pem}


async def make_keystores(wanted: Wanted, pair: Mapping[str, bytes], passwords: Passwords | None) -> Made:
    """The keystores of a pair, as far as there are passwords for them.

    Raises:
        PKIError: The pair cannot be read.
    """
    if not wanted.keystores:
        return Made()
    files = {**pair, "ca.crt": wanted.files["ca.crt"].encode()}
    # A key is derived of each password, which is meant to take its time.
    return await asyncio.to_thread(make, wanted.keystores, passwords or {}, files, new_salt())


def secret_manifest(
    *,
    namespace: str,
    name: str,
    component: str,
    pair: Mapping[str, bytes],
    wanted: Wanted,
    revision: int,
    owner: Mapping[str, Any] | None,
    root_key: str = "",
    keystores: Made | None = None,
) -> dict[str, Any]:
    """The Secret of a credential, whole.

    Args:
        namespace: Its namespace.
        name: Its name.
        component: What it is for.
        pair: ``tls.crt`` and, unless the key is elsewhere, ``tls.key``.
        wanted: What it was made for.
        revision: How many certificates were issued so far.
        owner: Owner reference of the object that it ends with.
        root_key: Fingerprint of the root key that the certificate was issued under, if not of the authority's own.
        keystores: Those that were made of the pair.
    """
    keystores = keystores or Made()
    root_key = root_key or wanted.authority.fingerprint
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": namespace,
        "labels": {**wanted.labels, MANAGED_BY[0]: MANAGED_BY[1], COMPONENT: component},
        "annotations": {
            **wanted.annotations,
            **wanted.requests,
            CERTIFICATE_DIGEST: wanted.digest_under(root_key),
            CONTENTS_DIGEST: wanted.contents_digest,
            ROOT_KEY: root_key,
            **({BUNDLE_DIGEST: bundle_digest(wanted.files["ca.crt"])} if "ca.crt" in wanted.files else {}),
            REVISION: str(revision),
            **keystores.annotations,
        },
    }
    if owner is not None:
        metadata["ownerReferences"] = [dict(owner)]
    files = {name_: text.encode() for name_, text in wanted.files.items()}
    if wanted.formats:
        files |= further_files(wanted.formats, pair["tls.crt"], pair["tls.key"])
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        # A Secret of type kubernetes.io/tls has to have a key.
        "type": "kubernetes.io/tls" if "tls.key" in pair else "Opaque",
        "data": {file: _base64(value) for file, value in (*pair.items(), *files.items(), *keystores.files.items())},
    }


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode()
