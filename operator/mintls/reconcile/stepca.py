"""step-ca: who it is asked as. The credential is in a Secret that is read and never written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mintls.core.pki.errors import ProvisionerBroken
from mintls.core.pki.provisioner import Provisioner, decrypt, read_jwk, same_key
from mintls.reconcile.credential import Contents, Violation
from mintls.reconcile.reasons import Reason


@dataclass(frozen=True, slots=True)
class Listed:
    """A provisioner, as the CA lists it.

    Attributes:
        name: Its name.
        type: Its type, such as ``JWK``.
        key: Its public key as JWK.
        encrypted_key: Its private key as JWE; "" if the CA does not hand it out.
    """

    name: str
    type: str
    key: Mapping[str, Any] = field(default_factory=dict)
    encrypted_key: str = field(default="", repr=False)

    @classmethod
    def of(cls, members: Mapping[str, Any]) -> "Listed":
        """From what the CA says of it."""
        key = members.get("key")
        return cls(
            name=str(members.get("name", "")),
            type=str(members.get("type", "")),
            key=key if isinstance(key, Mapping) else {},
            encrypted_key=str(members.get("encryptedKey", "")),
        )


@dataclass(frozen=True, slots=True)
class Credential:
    """The Secret with the credential of a provisioner.

    Attributes:
        secret: Its namespace and name.
        contents: Its data; ``None`` if there is no such Secret.
    """

    secret: str
    contents: Contents | None = field(repr=False)


def credential_problem(seen: Credential) -> Violation | None:
    """What keeps step-ca from being asked at all."""
    if seen.contents is None:
        return Violation(
            Reason.SECRET_MISSING,
            f"there is no Secret {seen.secret}: create it with password or jwk of the provisioner, or correct "
            "spec.external.stepCA.provisioner.secretRef.name",
        )
    if not any(seen.contents.data.get(name) for name in ("password", "jwk")):
        return Violation(
            Reason.KEY_BROKEN,
            f"Secret {seen.secret} has neither password nor jwk: put one of them there, the password of the "
            "provisioner's key or the key itself",
        )
    return None


def provisioner_of(name: str, seen: Credential, listing: Sequence[Listed]) -> Provisioner | Violation:
    """The provisioner of a name, by what the CA lists and what the Secret holds.

    It takes tenths of a second: call it in a thread.
    """
    found = next((one for one in listing if one.name == name and one.type.upper() == "JWK"), None)
    if found is None:
        names = ", ".join(sorted(one.name for one in listing if one.type.upper() == "JWK")) or "none"
        return Violation(
            Reason.EXTERNAL_REFUSED,
            f'the CA has no provisioner "{name}" of type JWK; of that type it has: {names[:200]}. Correct '
            "spec.external.stepCA.provisioner.name",
        )
    data = seen.contents.data if seen.contents else {}
    file = "jwk" if data.get("jwk") else "password"
    try:
        kid, key = read_jwk(data["jwk"]) if file == "jwk" else _decrypted(found, data["password"])
    except ProvisionerBroken as broken:
        return Violation(Reason.KEY_BROKEN, f"Secret {seen.secret}: {_what(file, name)} {broken}")
    if not same_key(key, dict(found.key)):
        return Violation(
            Reason.KEY_BROKEN, f'Secret {seen.secret}: jwk is not the key that the CA has for provisioner "{name}"'
        )
    return Provisioner(name, str(found.key.get("kid", kid)), key)


def _what(file: str, name: str) -> str:
    return "jwk" if file == "jwk" else f'with its password the key of provisioner "{name}"'


def _decrypted(found: Listed, password: bytes) -> Any:
    if not found.encrypted_key:
        raise ProvisionerBroken("cannot be had, because the CA does not hand it out: put the key itself into jwk")
    # As step reads a password file: a line end at its end is none of it.
    return read_jwk(decrypt(found.encrypted_key, password.rstrip(b"\r\n")))
