"""Changes to an object that exists."""

from crds.certificate_samples import REQUEST
from crds.external_samples import EXTERNAL, ISSUER, STEP_CA
from crds.sample import REQUIRED, Sample, refused

CLIENT_ID_STAYS = (
    "spec.clientID: Invalid value: clientID cannot change: tokens and resources know the client by it; "
    "make another OAuthClient instead"
)

WITH_REQUEST = {"request": f"{REQUEST}AAAA"}

UPDATES = (
    Sample("the client id stays", "OAuthClient", {"clientID": "a", "suspended": True}, before={"clientID": "a"}),
    Sample("another client id", "OAuthClient", {"clientID": "b"}, (CLIENT_ID_STAYS,), before={"clientID": "a"}),
    Sample("a client id at last", "OAuthClient", {"clientID": "b"}, (CLIENT_ID_STAYS,), before={}),
    Sample("no client id any more", "OAuthClient", {}, (CLIENT_ID_STAYS,), before={"clientID": "a"}),
    Sample(
        "another secret",
        "ClientCertificate",
        REQUIRED["ClientCertificate"] | {"secretName": "t"},
        (
            refused(
                "spec.secretName",
                "t",
                "cannot change: a credential would stay behind in the old Secret; "
                "make another ClientCertificate and delete this one",
            ),
        ),
        before=REQUIRED["ClientCertificate"],
    ),
    Sample("a CA of one's own at last", "CertificateAuthority", {"secretRef": {"name": "a"}}, before={}),
    Sample(
        "a CA elsewhere no more",
        "CertificateAuthority",
        {},
        (
            "spec: Invalid value: external cannot be taken out: certificates of it are in use; "
            "make another CertificateAuthority instead",
        ),
        before={"external": EXTERNAL},
    ),
    Sample(
        "a CA elsewhere that moved",
        "CertificateAuthority",
        {"external": EXTERNAL | {"stepCA": STEP_CA | {"url": "https://ca2.example"}}},
        before={"external": EXTERNAL},
    ),
    Sample(
        "a CA elsewhere that is asked in another way",
        "CertificateAuthority",
        {"external": {"caBundle": EXTERNAL["caBundle"], "certManager": {"issuerRef": ISSUER}}},
        before={"external": EXTERNAL},
    ),
    Sample(
        "a CA of one's own no more",
        "CertificateAuthority",
        {},
        (
            "spec: Invalid value: secretRef cannot be taken out: certificates of it are in use; "
            "make another CertificateAuthority instead",
        ),
        before={"secretRef": {"name": "a"}},
    ),
    *(
        Sample(
            title,
            "ClientCertificate",
            REQUIRED["ClientCertificate"] | after,
            (
                "spec.request: Invalid value: a key that is made here and one that is elsewhere do not change places: "
                "make another ClientCertificate",
            ),
            before=REQUIRED["ClientCertificate"] | before,
        )
        for title, before, after in (("a request at last", {}, WITH_REQUEST), ("no request any more", WITH_REQUEST, {}))
    ),
    Sample(
        "another request",
        "ClientCertificate",
        REQUIRED["ClientCertificate"] | {"request": f"{REQUEST}BBBB"},
        before=REQUIRED["ClientCertificate"] | WITH_REQUEST,
    ),
    Sample(
        "revoked at last",
        "ClientCertificate",
        REQUIRED["ClientCertificate"] | {"revoked": True},
        before=REQUIRED["ClientCertificate"],
    ),
    Sample(
        "revoked no more",
        "ClientCertificate",
        REQUIRED["ClientCertificate"],
        (
            "spec.revoked: Invalid value: false: cannot be taken back: who has the key would be let in again; "
            "make another ClientCertificate and delete this one",
        ),
        before=REQUIRED["ClientCertificate"] | {"revoked": True},
    ),
    Sample(
        "another client",
        "ClientCertificate",
        REQUIRED["ClientCertificate"] | {"clientRef": {"name": "other"}, "duration": "1h"},
        before=REQUIRED["ClientCertificate"],
    ),
)
