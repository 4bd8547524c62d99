"""Keystores of ClientCertificates."""

from crds.sample import UNCHECKED, certificate, refused, too_long, unsupported

REQUEST = "-----BEGIN CERTIFICATE REQUEST-----\n"
OBJECT_NAME = (
    "must be the name of an object: lower-case letters, digits, - and . with a letter or digit at both ends, "
    "such as billing"
)
SECRET_KEY = "must be a key of a Secret: letters, digits, -, _ and . only, such as password"
KEYSTORE_ALIAS = (
    "must be lower-case letters, digits, -, _ and . with a letter or digit at both ends, such as certificate"
)

KEYSTORES = (
    certificate(
        "keystores",
        keystores={
            "pkcs12": {"passwordSecretRef": {"name": "p"}},
            "jks": {"create": False, "passwordSecretRef": {"name": "p", "key": "Store.pass_2"}, "alias": "a-1.b_c"},
        },
    ),
    certificate("no keystores", keystores={}),
    certificate(
        "keystores of a key that is elsewhere",
        "spec.keystores: Invalid value: with a request the key is not here, and no keystore can have it: leave "
        "keystores out",
        request=REQUEST,
        keystores={"jks": {"passwordSecretRef": {"name": "p"}}},
    ),
    *(
        certificate(
            f"the password of {kind} in our own Secret",
            "spec.keystores: Invalid value: the password cannot be in the Secret of secretName, which Mintls makes: "
            "put it into a Secret of your own",
            keystores={kind: {"passwordSecretRef": {"name": "s"}}},
        )
        for kind in ("pkcs12", "jks")
    ),
    *(
        certificate(
            f"{kind} without a password",
            f"spec.keystores.{kind}.passwordSecretRef: Required value",
            UNCHECKED,
            keystores={kind: {}},
        )
        for kind in ("pkcs12", "jks")
    ),
    *(
        certificate(
            f"{kind} with a password nowhere",
            f"spec.keystores.{kind}.passwordSecretRef.name: Required value",
            UNCHECKED,
            keystores={kind: {"passwordSecretRef": {"key": "p"}}},
        )
        for kind in ("pkcs12", "jks")
    ),
    certificate(
        "another profile",
        unsupported("spec.keystores.pkcs12.profile", "LegacyRC2", "LegacyDES", "Modern2023"),
        UNCHECKED,
        keystores={"pkcs12": {"passwordSecretRef": {"name": "p"}, "profile": "LegacyRC2"}},
    ),
    *(
        certificate(
            f"{kind} with {part} {value!r}",
            refused(f"spec.keystores.{kind}.{path}", value, message),
            keystores={kind: keystore},
        )
        for kind in ("pkcs12", "jks")
        for part, path, value, message, keystore in [
            *(
                ("alias", "alias", value, KEYSTORE_ALIAS, {"passwordSecretRef": {"name": "p"}, "alias": value})
                for value in ("", "Billing", "-a", "a.", "a b", "ü")
            ),
            *(
                ("key", "passwordSecretRef.key", key, SECRET_KEY, {"passwordSecretRef": {"name": "p", "key": key}})
                for key in ("", "a b", "a/b")
            ),
            ("name", "passwordSecretRef.name", "P", OBJECT_NAME, {"passwordSecretRef": {"name": "P"}}),
        ]
    ),
    *(
        certificate(
            f"{kind} with {part} too long",
            too_long(f"spec.keystores.{kind}.{path}", limit),
            UNCHECKED,
            keystores={kind: keystore},
        )
        for kind in ("pkcs12", "jks")
        for part, path, limit, keystore in [
            ("alias", "alias", 63, {"passwordSecretRef": {"name": "p"}, "alias": "a" * 64}),
            ("key", "passwordSecretRef.key", 253, {"passwordSecretRef": {"name": "p", "key": "a" * 254}}),
            ("name", "passwordSecretRef.name", 253, {"passwordSecretRef": {"name": "a" * 254}}),
        ]
    ),
)
