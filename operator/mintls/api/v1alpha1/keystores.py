"""``keystores`` of a ClientCertificate: its key in the forms of the Java platform, under a password of the user's."""

from typing import Annotated, Literal

from msgspec import Meta

from mintls.api.v1alpha1.meta import KubeStruct
from mintls.api.v1alpha1.rules import KEYSTORE_ALIAS, SECRET_KEY, Rule, cel, object_name_meta

_ALIAS = "Name of the key's entry."


class SecretKeyReference(KubeStruct, frozen=True, kw_only=True):
    """A value in a Secret of the same namespace."""

    name: Annotated[str, object_name_meta("Name of the Secret.")]
    key: Annotated[
        str,
        Meta(description="Name of the value in it.", max_length=253, extra_json_schema=cel(SECRET_KEY)),
    ] = "password"


_PASSWORD = Meta(
    description="The password, printable ASCII. The Secret is read and never written; when it changes, the keystores "
    "are written again. While there is no password, the certificate is issued without them, and `Ready` says so."
)


class PKCS12Keystore(KubeStruct, frozen=True, kw_only=True):
    """PKCS #12: `keystore.p12` with key and certificates, and `truststore.p12` with the CAs of `ca.crt`."""

    create: Annotated[bool, Meta(description="Whether it is made.")] = True
    password_secret_ref: Annotated[SecretKeyReference, _PASSWORD]
    profile: Annotated[
        Literal["Modern2023", "LegacyDES"],
        Meta(
            description="`Modern2023`: AES-256 and HMAC-SHA-256, which OpenSSL reads, and Java from "
            "8u301 on. `LegacyDES`: Triple DES and HMAC-SHA-1, for what is older."
        ),
    ] = "Modern2023"
    alias: Annotated[str, Meta(description=_ALIAS, max_length=63, extra_json_schema=cel(KEYSTORE_ALIAS))] = (
        "certificate"
    )


class JKSKeystore(KubeStruct, frozen=True, kw_only=True):
    """JKS: `keystore.jks` and `truststore.jks`, as for PKCS #12. SHA-1 alone protects it: for what reads no other."""

    create: Annotated[bool, Meta(description="Whether it is made.")] = True
    password_secret_ref: Annotated[SecretKeyReference, _PASSWORD]
    alias: Annotated[str, Meta(description=_ALIAS, max_length=63, extra_json_schema=cel(KEYSTORE_ALIAS))] = (
        "certificate"
    )


class Keystores(KubeStruct, frozen=True, kw_only=True):
    """Keystores in the Secret, for programs that take no PEM files: each under a password of yours."""

    pkcs12: PKCS12Keystore | None = None
    jks: JKSKeystore | None = None


def _other_secret(kind: str) -> str:
    found = f"self.keystores.{kind}"
    return f"(!has({found}) || {found}.passwordSecretRef.name != self.secretName)"


KEYSTORE_RULES = (
    Rule(
        "!has(self.request) || !has(self.keystores)",
        "with a request the key is not here, and no keystore can have it: leave keystores out",
        field="keystores",
    ),
    Rule(
        f"!has(self.keystores) || ({_other_secret('pkcs12')} && {_other_secret('jks')})",
        "the password cannot be in the Secret of secretName, which Mintls makes: put it into a Secret of your own",
        field="keystores",
    ),
)
"""Rules of the spec that has the keystores."""
