"""From a ``privateKey`` of a spec to the key that is made."""

from mintls.api.v1alpha1.keyspec import ClientPrivateKey, PrivateKey
from mintls.core.pki.keys import KeySpec

_SIZES = {"ECDSA": (256, 384), "RSA": (2048, 3072, 4096), "Ed25519": (256,)}
"""The sizes that are made of each algorithm, its default first."""


def key_spec(private_key: PrivateKey) -> KeySpec:
    """Algorithm and size, with the default size of the algorithm: 256 for ECDSA, 2048 for RSA."""
    return KeySpec(
        algorithm=private_key.algorithm,
        size=private_key.size or _SIZES[private_key.algorithm][0],
    )


def key_problem(private_key: PrivateKey) -> str:
    """Why such a key cannot be made; "" if it can. The schema says the same; an object may be older than the schema."""
    sizes = _SIZES[private_key.algorithm]
    if key_spec(private_key).size in sizes:
        return ""
    right = " or ".join(str(size) for size in sizes)
    return f"privateKey: size {private_key.size} of {private_key.algorithm}: write {right}, or leave size out"


def encoding_problem(private_key: ClientPrivateKey) -> str:
    """Why the key cannot be written as it is wanted; "" if it can. As :func:`key_problem`."""
    if private_key.encoding == "PKCS1" and private_key.algorithm == "Ed25519":
        return "privateKey: encoding PKCS1 of Ed25519: there is no such form; write PKCS8, or leave encoding out"
    return ""
