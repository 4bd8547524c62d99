"""What the steps have to come to. Each function makes a check: it says what was seen, or raises ``Unexpected``."""

import json
from typing import Any

from demolib.steps import Check, Result, Unexpected

# curl's exit codes for a handshake that failed: while connecting, or, with TLS 1.3, on the first write or read.
_TLS_REFUSED = (35, 52, 55, 56)


def succeeded(saying: str, *needed: str) -> Check:
    """The command ended with 0 and wrote each of the *needed* texts."""

    def check(result: Result) -> str:
        _require_success(result)
        for text in needed:
            if text not in result.output:
                raise Unexpected(f"expected the output to contain {text!r}")
        return saying

    return check


PROMISED = 2.0
"""Seconds from ``kubectl apply`` to a token on a machine that has nothing else to do."""


def issued_token(within: float) -> Check:
    """``token.json`` holds a token, so many seconds at most since the clock began."""

    def check(result: Result) -> str:
        _require_success(result)
        answer = _json(result, "token.json")
        if not answer.get("access_token") or answer.get("token_type") != "Bearer":
            raise Unexpected(f"expected a token response (RFC 6749 section 5.1), got {json.dumps(answer)}")
        if result.seconds > within:
            raise Unexpected(f"the token took {result.seconds:.1f} s, expected at most {within:g} s")
        slow = f"; more than {PROMISED:g} s: is the machine busy?" if result.seconds > PROMISED else ""
        return f"a token, {result.seconds:.2f} s after the clock began{slow}"

    return check


def claims_of(client_id: str, scope: str) -> Check:
    """``claims.json`` are the claims of a token of that client, bound to a certificate."""

    def check(result: Result) -> str:
        _require_success(result)
        claims = _json(result, "claims.json")
        for name, wanted in (("sub", client_id), ("client_id", client_id), ("scope", scope)):
            if claims.get(name) != wanted:
                raise Unexpected(f"expected the claim {name} to be {wanted!r}, got {claims.get(name)!r}")
        if not claims.get("cnf", {}).get("x5t#S256"):
            raise Unexpected("expected the claim cnf to hold x5t#S256 (RFC 8705 section 3.1)")
        return "a JWT of this client, bound to a certificate"

    return check


def bound_to_certificate(result: Result) -> str:
    """``cnf`` of the token is the thumbprint that openssl computed."""
    _require_success(result)
    thumbprint = (result.folder / "billing" / "thumbprint").read_text().strip()
    bound = _json(result, "claims.json")["cnf"]["x5t#S256"]
    if thumbprint != bound:
        raise Unexpected(f"expected the token to be bound to {thumbprint}, it is bound to {bound}")
    return "openssl's thumbprint of the certificate is cnf of the token"


def active(client_id: str) -> Check:
    """Introspection says that the token is good (RFC 7662 section 2.2)."""

    def check(result: Result) -> str:
        _require_success(result)
        answer = _parse(result.output)
        if answer.get("active") is not True or answer.get("client_id") != client_id:
            raise Unexpected(f"expected an active token of {client_id}, got {json.dumps(answer)}")
        return f"active, issued to {client_id}"

    return check


def refused_by_issuer(reason: str) -> Check:
    """The issuer answered 401 invalid_client (RFC 6749 section 5.2), and its audit log alone has the reason.

    The output is the body, a line with the HTTP status, and the audit line.
    """

    def check(result: Result) -> str:
        _require_success(result)
        lines = result.output.strip().splitlines()
        if len(lines) != 3:
            raise Unexpected("expected three lines: the issuer's answer, HTTP status, audit line")
        body, status, trail = _parse(lines[0]), lines[1], _parse(lines[2])
        if (status, body.get("error")) != ("401", "invalid_client"):
            raise Unexpected(f"expected 401 invalid_client, got {status} {body.get('error')}")
        if (trail.get("decision"), trail.get("reason")) != ("refused", reason):
            raise Unexpected(f"expected the audit log to say refused, {reason}; it says {json.dumps(trail)}")
        return f"refused: 401 invalid_client; the audit log knows why: {reason}"

    return check


def refused_by_tls(result: Result) -> str:
    """The handshake failed: curl got no HTTP answer."""
    if result.status not in _TLS_REFUSED:
        raise Unexpected(f"expected the TLS handshake to fail, curl ended with status {result.status}")
    if '"error"' in result.output or "access_token" in result.output:
        raise Unexpected("expected the TLS handshake to fail, but the issuer answered")
    return "refused: the TLS handshake fails, because the signature is not the authority's"


def same_names(result: Result) -> str:
    """Two certificates say the same of themselves: their openssl print-outs stand one after the other."""
    _require_success(result)
    lines = result.output.strip().splitlines()
    half = len(lines) // 2
    if not half or lines[:half] != lines[half:]:
        raise Unexpected("expected both certificates to have the same issuer name, subject and alternative names")
    return "issuer, subject and names are the same; only the key that signed is not"


NO_PROGRAM = 69
"""Status of an example that lacks a program (EX_UNAVAILABLE of sysexits.h)."""


def went_through(saying: str) -> Check:
    """A script of docs/examples came to its end, or says that it lacks a program."""

    def check(result: Result) -> str:
        if result.status == NO_PROGRAM:
            return f"left out: {result.output.strip()}"
        _require_success(result)
        return saying

    return check


def another_certificate(result: Result) -> str:
    """The thumbprint is not the one from before, and the client id is."""
    _require_success(result)
    before, now = (result.folder / name / "thumbprint" for name in ("before", "billing"))
    if before.read_text() == now.read_text():
        raise Unexpected("expected another certificate, the Secret holds the one from before")
    ids = {(result.folder / name / "client-id").read_text() for name in ("before", "billing")}
    if len(ids) != 1:
        raise Unexpected(f"expected the client id to stay, there are {', '.join(sorted(ids))}")
    return f"another certificate for the same client id, {result.seconds:.2f} s after the clock began"


def _require_success(result: Result) -> None:
    if result.status:
        raise Unexpected(f"expected exit status 0, got {result.status}")


def _json(result: Result, name: str) -> dict[str, Any]:
    try:
        return _parse((result.folder / name).read_text())
    except OSError as error:
        raise Unexpected(f"expected a file {name}: {error.strerror}") from error


def _parse(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError as error:
        raise Unexpected(f"expected JSON, got {text[:200]!r}") from error
    if not isinstance(value, dict):
        raise Unexpected(f"expected a JSON object, got {text[:200]!r}")
    return value
