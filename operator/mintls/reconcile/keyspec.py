"""From a ``privateKey`` of a spec to the key that is made."""

from mintls.api.v1alpha1.keyspec import PrivateKey
from mintls.core.pki.keys import KeySpec

_DEFAULT_SIZES = {"ECDSA": 256, "RSA": 2048, "Ed25519": 256}


def key_spec(private_key: PrivateKey) -> KeySpec:
    """Algorithm and size, with the default size of the algorithm: 256 for ECDSA, 2048 for RSA."""
    return KeySpec(
        algorithm=private_key.algorithm,
        size=private_key.size or _DEFAULT_SIZES[private_key.algorithm],
    )
