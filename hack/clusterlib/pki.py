"""Throw-away keys and certificates of one cluster.

Three authorities, as Kubernetes wants them apart: ``ca`` (servers and clients of the API), ``front-proxy-ca`` (who
may speak for others to an aggregated API: were it the first, any client certificate could), ``etcd-ca``. etcd has
TLS although it only listens on the loopback interface: other accounts of this machine reach that too, and an API
server that was given a stale port must not end up with the etcd of the cluster next door.
"""

import dataclasses
import datetime as dt
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from clusterlib.files import write_private

LIFETIME = dt.timedelta(days=365)
BACKDATE = dt.timedelta(minutes=5)

SERVICE_RANGE = "10.96.0.0/16"
_API_NAMES = (
    "localhost",
    "127.0.0.1",
    "10.96.0.1",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
)
_SERVER = (ExtendedKeyUsageOID.SERVER_AUTH,)
_CLIENT = (ExtendedKeyUsageOID.CLIENT_AUTH,)


@dataclass(frozen=True)
class Leaf:
    """What a certificate says."""

    common_name: str
    usages: tuple[x509.ObjectIdentifier, ...]
    organization: str | None = None
    names: tuple[str, ...] = ()


NODE_NAME = "node"
"""What the one node of a cluster is called."""

AUTHORITIES: dict[str, dict[str, Leaf]] = {
    "ca": {
        "apiserver": Leaf("kube-apiserver", _SERVER, names=_API_NAMES),
        "admin": Leaf("kubernetes-admin", _CLIENT, organization="system:masters"),
        "controller-manager": Leaf("system:kube-controller-manager", _CLIENT),
        "controller-manager-server": Leaf("kube-controller-manager", _SERVER, names=("127.0.0.1",)),
    },
    "front-proxy-ca": {"front-proxy-client": Leaf("front-proxy-client", _CLIENT)},
    "etcd-ca": {
        # etcd calls itself, as a peer and through its own gateway, with its server certificate.
        "etcd": Leaf("etcd", _SERVER + _CLIENT, names=("localhost", "127.0.0.1")),
        "apiserver-etcd-client": Leaf("kube-apiserver-etcd-client", _CLIENT),
    },
}
"""Authority to what it signs; each name is that of a ``.crt`` and a ``.key`` file."""

_NODE_LEAVES = {
    "apiserver-kubelet-client": Leaf("kube-apiserver-kubelet-client", _CLIENT, organization="system:masters"),
    "scheduler": Leaf("system:kube-scheduler", _CLIENT),
    "scheduler-server": Leaf("kube-scheduler", _SERVER, names=("localhost",)),
    "kubelet": Leaf(f"system:node:{NODE_NAME}", _CLIENT, organization="system:nodes"),
    "kubelet-server": Leaf(NODE_NAME, _SERVER, names=(NODE_NAME,)),
    "kube-proxy": Leaf("system:kube-proxy", _CLIENT),
    "coredns": Leaf("system:coredns", _CLIENT),
}
"""What ``ca`` signs in addition for a cluster with a node."""


def create_pki(folder: Path, now: dt.datetime, node_address: str | None = None) -> None:
    """Write all keys and certificates of a new cluster into *folder*; raises OSError.

    With a *node_address* there are those of a node too, and every server may be reached at that address.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for authority, leaves in _wanted(node_address).items():
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _authority(authority, key, now)
        _write(folder, authority, key, certificate)
        for name, leaf in leaves.items():
            leaf_key = ec.generate_private_key(ec.SECP256R1())
            _write(folder, name, leaf_key, _sign(leaf, leaf_key, certificate, key, now))
    _write_service_account_keys(folder)


def _wanted(node_address: str | None) -> dict[str, dict[str, Leaf]]:
    if node_address is None:
        return AUTHORITIES
    wanted = AUTHORITIES | {"ca": AUTHORITIES["ca"] | _NODE_LEAVES}
    return {
        authority: {name: _reached_at(leaf, node_address) for name, leaf in leaves.items()}
        for authority, leaves in wanted.items()
    }


def _reached_at(leaf: Leaf, address: str) -> Leaf:
    return dataclasses.replace(leaf, names=(*leaf.names, address)) if leaf.names else leaf


def certificate_path(folder: Path, name: str) -> Path:
    """The PEM file of the certificate *name*."""
    return folder / f"{name}.crt"


def key_path(folder: Path, name: str) -> Path:
    """The PEM file of the private key *name*."""
    return folder / f"{name}.key"


def _write_service_account_keys(folder: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    write_private(folder / "service-account.key", _key_pem(key))
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    write_private(folder / "service-account.pub", public)


def _authority(name: str, key: ec.EllipticCurvePrivateKey, now: dt.datetime) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"throw-away {name}")])
    return (
        _builder(subject, subject, key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _sign(
    leaf: Leaf,
    key: ec.EllipticCurvePrivateKey,
    issuer: x509.Certificate,
    issuer_key: ec.EllipticCurvePrivateKey,
    now: dt.datetime,
) -> x509.Certificate:
    # Python's and Go's strict verifiers want the key usage and the authority key identifier.
    builder = (
        _builder(_subject(leaf), issuer.subject, key.public_key(), now)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(leaf.usages), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    if leaf.names:
        names = x509.SubjectAlternativeName([_general_name(name) for name in leaf.names])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _subject(leaf: Leaf) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, leaf.common_name)]
    if leaf.organization:
        # Kubernetes reads O as the user's group.
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, leaf.organization))
    return x509.Name(attributes)


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: dt.datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + LIFETIME)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(folder: Path, name: str, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    write_private(key_path(folder, name), _key_pem(key))
    write_private(certificate_path(folder, name), certificate.public_bytes(serialization.Encoding.PEM))


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
