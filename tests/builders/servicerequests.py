"""Requests for a certificate as Kubernetes makes them: a kubelet for a pod, a service account for itself."""

import base64
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mintls.kube.paths import CERTIFICATE_SIGNING_REQUESTS, POD_CERTIFICATE_REQUESTS
from mintls.reconcile.servicerequest import SIGNER

POD_UID = "0a5a5c3e-0000-4000-8000-000000000001"


def pod_certificate_request(key: ec.EllipticCurvePrivateKey, name: str, **options: str) -> dict[str, Any]:
    """What the kubelet asks for a pod that is to have a certificate; it has made the key, and proves it."""
    spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    proof = key.sign(POD_UID.encode(), ec.ECDSA(hashes.SHA256()))
    spec = {
        "signerName": SIGNER,
        "podName": "billing-0",
        "podUID": POD_UID,
        "serviceAccountName": "billing-app",
        "serviceAccountUID": "0a5a5c3e-0000-4000-8000-000000000002",
        "nodeName": "node",
        "nodeUID": "0a5a5c3e-0000-4000-8000-000000000003",
        "maxExpirationSeconds": 7200,
        "pkixPublicKey": base64.b64encode(spki).decode(),
        "proofOfPossession": base64.b64encode(proof).decode(),
        "unverifiedUserAnnotations": options,
    }
    kind = {"apiVersion": POD_CERTIFICATE_REQUESTS.api_version, "kind": POD_CERTIFICATE_REQUESTS.kind}
    return kind | {"metadata": {"name": name}, "spec": spec}


def signing_request(key: ec.EllipticCurvePrivateKey, name: str, **spec: Any) -> dict[str, Any]:
    """A CSR whose names are somebody else's: nothing is to be taken of it but the key."""
    csr = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "system:masters")]))
        .sign(key, hashes.SHA256())
    )
    whole = {
        "signerName": SIGNER,
        "usages": ["digital signature", "client auth"],
        "request": base64.b64encode(csr.public_bytes(serialization.Encoding.PEM)).decode(),
    }
    kind = {"apiVersion": CERTIFICATE_SIGNING_REQUESTS.api_version, "kind": CERTIFICATE_SIGNING_REQUESTS.kind}
    return kind | {"metadata": {"name": name}, "spec": whole | spec}
