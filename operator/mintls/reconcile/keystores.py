"""Keystores in the Secret of a client: which are wanted, their passwords, and whether those that are there are right.

A keystore is salted, and whoever may write the Secret could put one there that takes hours to open. So none is ever
opened: a digest beside them, keyed by the private key, says that they are the very ones that were made of this key,
these certificates and these passwords.
"""

import hashlib
import hmac
import struct
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from mintls.api.v1alpha1.clientcertificate import ClientCertificateSpec
from mintls.core.pki.keystore import FILES, KeystoreKind, Profile, read_credentials, render, unusable
from mintls.reconcile.reasons import Reason

KEYSTORES_DIGEST = "mintls.dev/keystores-digest"
"""Annotation of a Secret: says that its keystores are those that were made."""
PASSWORDS_VERSION = "mintls.dev/passwords-version"
"""Annotation of a Secret: the versions of the Secrets with the passwords that its keystores have."""

_CREDENTIAL_FILES = ("tls.crt", "tls.key", "ca.crt")


@dataclass(frozen=True, slots=True)
class WantedKeystore:
    """A keystore that there should be.

    Attributes:
        kind: Its form.
        alias: Name of the key's entry.
        profile: How PKCS #12 is protected.
        secret: The Secret with the password.
        key: Where the password is in it.
    """

    kind: KeystoreKind
    alias: str
    profile: Profile
    secret: str
    key: str

    @property
    def files(self) -> tuple[str, str]:
        """The names of its files."""
        return FILES[self.kind]

    @property
    def field(self) -> str:
        """Where the spec names the Secret."""
        return f"spec.keystores.{self.kind.lower()}.passwordSecretRef"


@dataclass(frozen=True, slots=True)
class PasswordSecret:
    """A Secret with passwords, as it was read: its version, and its data, which is never shown."""

    version: str
    data: Mapping[str, bytes] = field(repr=False)


type Passwords = Mapping[str, PasswordSecret]
"""The Secrets with passwords that there are, by name."""


class PasswordProblem(ValueError):  # noqa: N818 - reads as the sentence that it stands for
    """A password that is not there or cannot be used; the message names where it should be and what to do."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Made:
    """Keystores that were made: their files, and what the Secret says of them in annotations."""

    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    annotations: Mapping[str, str] = field(default_factory=dict)


def wanted_keystores(spec: ClientCertificateSpec) -> tuple[WantedKeystore, ...]:
    """The keystores that a spec asks for."""
    found: list[WantedKeystore] = []
    keystores = spec.keystores
    if keystores is None:
        return ()
    if (one := keystores.pkcs12) is not None and one.create:
        ref = one.password_secret_ref
        found.append(WantedKeystore("PKCS12", one.alias, one.profile, ref.name, ref.key))
    if (other := keystores.jks) is not None and other.create:
        ref = other.password_secret_ref
        found.append(WantedKeystore("JKS", other.alias, "Modern2023", ref.name, ref.key))
    return tuple(found)


def password_secrets(spec: ClientCertificateSpec) -> frozenset[str]:
    """The names of the Secrets with their passwords."""
    return frozenset(one.secret for one in wanted_keystores(spec))


def password_of(keystore: WantedKeystore, passwords: Passwords) -> str:
    """The password of a keystore.

    Raises:
        PasswordProblem: There is none that could be used.
    """
    secret = passwords.get(keystore.secret)
    place = f'Secret "{keystore.secret}" of {keystore.field}'
    if secret is None:
        raise PasswordProblem(
            Reason.PASSWORD_MISSING,
            f"there is no {place}: create it with the password in {keystore.key}, or name another",
        )
    if keystore.key not in secret.data:
        raise PasswordProblem(
            Reason.PASSWORD_MISSING,
            f"{place} has no {keystore.key}: put the password there, or correct {keystore.field}.key",
        )
    problem = unusable(secret.data[keystore.key])
    if problem:
        raise PasswordProblem(
            Reason.PASSWORD_UNUSABLE,
            f"{keystore.key} in {place} {problem}: choose a password of printable ASCII, such as "
            f"kubectl create secret generic {keystore.secret} --from-literal={keystore.key}=... makes it",
        )
    return secret.data[keystore.key].decode("ascii")


def password_problem(keystores: Iterable[WantedKeystore], passwords: Passwords) -> PasswordProblem | None:
    """The first password that is missing or unusable."""
    for keystore in keystores:
        try:
            password_of(keystore, passwords)
        except PasswordProblem as problem:
            return problem
    return None


def passwords_version(keystores: Iterable[WantedKeystore], versions: Mapping[str, str]) -> str:
    """What ``PASSWORDS_VERSION`` says when the Secrets with passwords have these versions; "" if one is not there."""
    names = sorted({keystore.secret for keystore in keystores})
    if not all(versions.get(name) for name in names):
        return ""
    return hashlib.sha256("\n".join(versions[name] for name in names).encode()).hexdigest()[:32]


def version_used(keystores: Iterable[WantedKeystore], passwords: Passwords) -> str:
    """The same of the Secrets as they were read; "" if one has no password that could be used."""
    wanted = tuple(keystores)
    if password_problem(wanted, passwords) is not None:
        return ""
    return passwords_version(wanted, {name: secret.version for name, secret in passwords.items()})


def make(keystores: Iterable[WantedKeystore], passwords: Passwords, files: Mapping[str, bytes], salt: bytes) -> Made:
    """The keystores whose passwords are there.

    Args:
        keystores: Those that are wanted.
        passwords: The Secrets with the passwords.
        files: ``tls.crt``, ``tls.key`` and ``ca.crt``.
        salt: ``jks.SALT_OCTETS`` random octets.

    Raises:
        PKIError: One of the files cannot be read.
    """
    wanted = tuple(keystores)
    if not wanted:
        return Made()
    credentials = read_credentials(*(files[name] for name in _CREDENTIAL_FILES))
    made: dict[str, bytes] = {}
    for keystore, password in _usable(wanted, passwords):
        alias, profile = keystore.alias, keystore.profile
        made |= render(keystore.kind, credentials, password, alias=alias, profile=profile, salt=salt)
    annotations = {KEYSTORES_DIGEST: _digest(wanted, passwords, {**files, **made})} if made else {}
    version = version_used(wanted, passwords)
    return Made(made, annotations | ({PASSWORDS_VERSION: version} if version else {}))


def differing(
    keystores: Iterable[WantedKeystore],
    passwords: Passwords,
    files: Mapping[str, bytes],
    annotations: Mapping[str, str],
) -> tuple[str, ...]:
    """The files of keystores that are not there, or not as they were made of what there is now.

    Args:
        keystores: Those that are wanted; what cannot be made is not asked for.
        passwords: The Secrets with the passwords.
        files: All files of the Secret.
        annotations: The Secret's.
    """
    wanted = tuple(keystores)
    expected = tuple(file for keystore, _ in _usable(wanted, passwords) for file in keystore.files)
    if not expected:
        return ()
    missing = tuple(file for file in expected if file not in files)
    if missing or not all(name in files for name in _CREDENTIAL_FILES):
        return missing
    said = annotations.get(KEYSTORES_DIGEST, "").encode()
    return () if hmac.compare_digest(said, _digest(wanted, passwords, files).encode()) else expected


def _usable(wanted: Iterable[WantedKeystore], passwords: Passwords) -> Iterator[tuple[WantedKeystore, str]]:
    """The keystores that have a password, each with it."""
    for keystore in wanted:
        with suppress(PasswordProblem):
            yield keystore, password_of(keystore, passwords)


def _digest(keystores: Iterable[WantedKeystore], passwords: Passwords, files: Mapping[str, bytes]) -> str:
    """HMAC of keystores, their passwords and what they were made of: it says nothing to who has not the private key."""
    sealed = hmac.new(files["tls.key"], digestmod=hashlib.sha256)
    parts = [files["tls.crt"], files["ca.crt"]]
    for keystore, password in _usable(keystores, passwords):
        said = (keystore.kind, keystore.alias, keystore.profile, password)
        parts += [*(text.encode() for text in said), *(files[name] for name in keystore.files)]
    for part in parts:
        sealed.update(struct.pack(">Q", len(part)) + part)
    return sealed.hexdigest()
