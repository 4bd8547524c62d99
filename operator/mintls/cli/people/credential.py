"""What a credential's Secret, or a certificate, says of itself, and of the objects that it was made for. Pure."""

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from cryptography import x509

from mintls.cli.people.report import in_words
from mintls.core.pki.certificate import CertificateFacts, facts, first_break, load_pem_chain
from mintls.core.pki.credential import Credential, check_certificate, check_credential
from mintls.core.pki.errors import Breakage, CredentialBroken, InvalidCertificate, InvalidKey, RequestBroken
from mintls.core.pki.keys import describe
from mintls.core.pki.names import SubjectKind, SubjectName, normalize
from mintls.core.pki.request import read_request
from mintls.reconcile.credential import COMPONENT


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    well: bool
    text: str


def findings_of(
    secret: Mapping[str, Any], certificate: Mapping[str, Any] | None, client: Mapping[str, Any] | None, now: datetime
) -> list[Finding]:
    """Everything that can be said of *secret* at *now* (aware), with the objects that it belongs to, if there are any.

    The private key is compared with the certificate; nothing of it is in the findings.
    """
    data = {name: _decoded(value) for name, value in (secret.get("data") or {}).items()}
    try:
        credential = _credential(data, certificate)
    except (CredentialBroken, RequestBroken) as error:
        return [Finding("credential", well=False, text=str(error)), *_objects(None, certificate, client)]
    component = _component(secret) if certificate is None else ""
    return [
        *_certificate(credential, now),
        _trust(credential, data.get("ca.crt", b"")),
        *([Finding("made for", well=True, text=component)] if component else _objects(credential, certificate, client)),
    ]


def findings_of_certificate(
    pem: bytes, bundle: bytes, certificate: Mapping[str, Any] | None, client: Mapping[str, Any] | None, now: datetime
) -> list[Finding]:
    """The same of a certificate with its chain (PEM) whose key is elsewhere.

    Args:
        pem: Certificates, leaf first.
        bundle: The roots that are to vouch for them, PEM.
        certificate: The ClientCertificate that it says that it was issued for, if there is one.
        client: That one's OAuthClient.
        now: The time, aware.
    """
    try:
        credential = check_certificate(pem, leaf_of(pem).public_key)
    except CredentialBroken as error:
        return [Finding("certificate", well=False, text=str(error))]
    where = "its ClientCertificate is not in this namespace, or not any more" if certificate is None else ""
    return [
        *_certificate(credential, now, "the private key was not looked at"),
        _trust(credential, bundle, "trust bundle"),
        *([Finding("ClientCertificate", well=False, text=where)] if where else []),
        *([] if where else _objects(credential, certificate, client)),
    ]


def leaf_of(pem: bytes) -> CertificateFacts:
    """The first certificate of a file.

    Raises:
        CredentialBroken: There is none that can be read, or its key is of no kind that a client may have.
    """
    try:
        leaf = facts(load_pem_chain(pem)[0])
        describe(leaf.public_key)
    except (InvalidCertificate, InvalidKey) as error:
        raise CredentialBroken(Breakage.INVALID_CERTIFICATE, str(error)) from error
    return leaf


def _component(secret: Mapping[str, Any]) -> str:
    """What of an installation a Secret is, in words; "" if it is a client's or nothing of ours."""
    labels = secret.get("metadata", {}).get("labels") or {}
    authority = labels.get("mintls.dev/authority", "")
    named = {"issuer-tls": "the issuer itself", "authority": f"CertificateAuthority {authority}: it is its key"}
    return named.get(labels.get(COMPONENT, ""), "")


def _credential(data: Mapping[str, bytes], certificate: Mapping[str, Any] | None) -> Credential:
    request = certificate["spec"].get("request") if certificate else None
    if request:
        return check_certificate(data.get("tls.crt", b""), read_request(request).key)
    return check_credential(data.get("tls.crt", b""), data.get("tls.key", b""))


def _decoded(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except binascii.Error:
        return b""


def _certificate(credential: Credential, now: datetime, key: str = "it is the certificate's") -> Iterator[Finding]:
    leaf = credential.leaf
    names = list(_names(leaf.certificate))
    yield Finding("names", well=bool(names), text=", ".join(names) or "none")
    yield Finding("serial number", well=True, text=f"{leaf.serial:x}")
    yield Finding("thumbprint", well=True, text=f"{leaf.thumbprint} (x5t#S256)")
    if now < leaf.not_before:
        validity = f"begins {in_words(leaf.not_before - now)}: compare the clocks"
    elif now > leaf.not_after:
        validity = f"ended {in_words(leaf.not_after - now)}"
    else:
        validity = f"ends {in_words(leaf.not_after - now)}"
    within = leaf.not_before <= now <= leaf.not_after
    yield Finding(
        "validity", within, f"{leaf.not_before:%Y-%m-%dT%H:%M:%SZ} to {leaf.not_after:%Y-%m-%dT%H:%M:%SZ}, {validity}"
    )
    yield Finding("key", well=True, text=f"{credential.key.algorithm} {credential.key.size}, {key}")
    issuers = [one.issuer.rfc4514_string() for one in (leaf.certificate, *credential.chain)]
    yield Finding("chain", well=True, text=" <- ".join(["leaf", *issuers]))


def _names(certificate: x509.Certificate) -> Iterator[str]:
    if certificate.subject.rdns:
        yield f"subject {certificate.subject.rfc4514_string()}"
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    for kind, title in ((x509.UniformResourceIdentifier, "URI"), (x509.DNSName, "DNS"), (x509.RFC822Name, "e-mail")):
        yield from (f"{title} {value}" for value in names.get_values_for_type(kind))
    yield from (f"IP {value}" for value in names.get_values_for_type(x509.IPAddress))


def _trust(credential: Credential, bundle: bytes, what: str = "ca.crt") -> Finding:
    """Whether the roots vouch for the chain: by signature, not by name."""
    try:
        roots = load_pem_chain(bundle)
    except InvalidCertificate as error:
        return Finding(what, well=False, text=str(error))
    last = credential.chain[-1] if credential.chain else credential.leaf.certificate
    if any(first_break([last, root]) is None for root in roots):
        return Finding(what, well=True, text=f"{len(roots)} root(s), one of them signed the chain")
    return Finding(what, well=False, text=f"none of its {len(roots)} root(s) signed the chain")


def _objects(
    credential: Credential | None, certificate: Mapping[str, Any] | None, client: Mapping[str, Any] | None
) -> Iterator[Finding]:
    if certificate is None:
        yield Finding("ClientCertificate", well=False, text="none in this namespace has this Secret as spec.secretName")
        return
    status = certificate.get("status", {})
    title = f"{certificate['metadata']['namespace']}/{certificate['metadata']['name']}"
    if certificate["spec"].get("revoked"):
        yield Finding("ClientCertificate", well=False, text=f"{title}: revoked, and refused by every issuer replica")
    elif credential is not None:
        same = status.get("thumbprint") == credential.leaf.thumbprint
        other = f"its status speaks of another certificate, serial number {status.get('serialNumber') or 'none'}"
        yield Finding("ClientCertificate", same, f"{title}: {'it speaks of this certificate' if same else other}")
    if client is None:
        yield Finding("OAuthClient", well=False, text=f"{certificate['spec']['clientRef']['name']} does not exist")
        return
    known = client.get("status", {})
    ready: Mapping[str, Any] = next((one for one in known.get("conditions", ()) if one["type"] == "Ready"), {})
    registered = ready.get("status") == "True" and not client["spec"].get("suspended")
    name = f"{client['metadata']['namespace']}/{client['metadata']['name']}"
    yield Finding("OAuthClient", registered, f"{name}: {ready.get('reason', 'not looked at yet')}")
    identity = known.get("identity")
    if identity and credential is not None:
        yield _identity(credential, identity)


def _identity(credential: Credential, identity: Mapping[str, str]) -> Finding:
    wanted = normalize(SubjectName(SubjectKind(identity["type"]), identity["value"]))
    carried = wanted in credential.leaf.names
    text = f"{identity['type']}={identity['value']}"
    return Finding("identity", carried, f"{text}: {'in the certificate' if carried else 'the certificate lacks it'}")


def as_data(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """The findings for a program."""
    return [asdict(one) for one in findings]


def as_text(findings: Iterable[Finding]) -> str:
    """The findings for a person, a line each."""
    return "\n".join(f"{'ok' if one.well else 'WRONG':<7}{one.what:<18} {one.text}" for one in findings)
