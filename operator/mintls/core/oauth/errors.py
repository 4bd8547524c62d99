"""The errors that OAuth clients see, one class per ``error`` code, and why each was raised.

::

    OAuthError
    ├── InvalidRequest          invalid_request          RFC 6749 section 5.2
    ├── InvalidClient           invalid_client           RFC 6749 section 5.2
    │   └── UnknownKey          the same, by a key that is not known
    ├── UnauthorizedClient      unauthorized_client      RFC 6749 section 5.2
    ├── UnsupportedGrantType    unsupported_grant_type   RFC 6749 section 5.2
    ├── InvalidScope            invalid_scope            RFC 6749 section 5.2
    ├── InvalidTarget           invalid_target           RFC 8707 section 2
    ├── InvalidToken            invalid_token            RFC 6750 section 3.1
    ├── InsufficientScope       insufficient_scope       RFC 6750 section 3.1
    ├── AccessDenied            access_denied            RFC 7592 section 2 for the status alone
    ├── InvalidClientMetadata   invalid_client_metadata  RFC 7591 section 3.2.2
    │   └── InvalidRedirectUri  invalid_redirect_uri     RFC 7591 section 3.2.2
    ├── InvalidDpopProof        invalid_dpop_proof       RFC 9449 section 5
    │   └── UnprovenRequest     the same at a resource   RFC 9449 section 7.1
    ├── UseDpopNonce            use_dpop_nonce           RFC 9449 section 8
    └── TemporarilyUnavailable  temporarily_unavailable  RFC 6749 section 4.1.2.1

What goes out (``code``, ``description``) is constant: it never depends on what the request held; only to somebody who
may register clients is said what is wrong with the metadata. ``reason`` and ``detail`` are for the audit log alone.
HTTP statuses belong to ``mintls.issuer``.
"""

# ruff: noqa: N818 - the names are the wire's own words, which end in no "Error"

from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar


class Reason(StrEnum):
    """Why a request was refused: one word for the audit log and the metrics."""

    WRONG_MEDIA_TYPE = "wrong_media_type"
    """The body is not declared as application/x-www-form-urlencoded in UTF-8."""
    CONTENT_ENCODED = "content_encoded"
    """The body is compressed, which nothing here needs and bombs like."""
    BODY_TOO_LARGE = "body_too_large"
    """The body is longer than any honest request."""
    BODY_TOO_SLOW = "body_too_slow"
    """The body did not arrive in time."""
    MALFORMED_BODY = "malformed_body"
    """The body is no form: a broken percent-encoding, not UTF-8, or too many parameters."""
    REPEATED_PARAMETER = "repeated_parameter"
    """A parameter is given twice."""
    MISSING_GRANT_TYPE = "missing_grant_type"
    """No ``grant_type``."""
    MISSING_CLIENT_ID = "missing_client_id"
    """No ``client_id``, which RFC 8705 section 2 requires with mutual TLS."""
    MISSING_TOKEN = "missing_token"
    """No ``token`` to introspect or to revoke."""
    FOREIGN_TOKEN = "foreign_token"
    """The token that is to be revoked was issued to another client (RFC 7009 section 2.1)."""
    SEVERAL_CREDENTIALS = "several_credentials"
    """A secret or an assertion is given beside ``client_id``."""
    AUTHORIZATION_HEADER = "authorization_header"
    """The client tried HTTP authentication, which no client is registered for."""
    NO_CERTIFICATE = "no_certificate"
    """The connection has no client certificate."""
    UNREADABLE_CERTIFICATE = "unreadable_certificate"
    """The client certificate passed the handshake but cannot be decoded."""
    FORWARDED_CERTIFICATE = "forwarded_certificate"
    """A proxy hands a client certificate on in headers that are malformed (RFC 9440)."""
    UNKNOWN_CLIENT = "unknown_client"
    """No client holds that ``client_id``."""
    UNSUPPORTED_METHOD = "unsupported_method"
    """The client is registered for an authentication method that is not on."""
    UNTRUSTED_CERTIFICATE = "untrusted_certificate"
    """No authority of the client vouches for the certificate."""
    EXPIRED_CERTIFICATE = "expired_certificate"
    """The certificate, or a CA above it, is no longer valid."""
    NOT_YET_VALID_CERTIFICATE = "not_yet_valid_certificate"
    """The certificate, or a CA above it, is not valid yet."""
    WRONG_USAGE = "wrong_usage"
    """The certificate is not for client authentication."""
    WRONG_NAME = "wrong_name"
    """The certificate does not carry the client's registered name."""
    UNREGISTERED_CERTIFICATE = "unregistered_certificate"
    """The certificate is none of those that the client registered."""
    UNACCOUNTED_CERTIFICATE = "unaccounted_certificate"
    """The authority signs for objects of the Kubernetes API only, and the certificate names none."""
    ORPHANED_CERTIFICATE = "orphaned_certificate"
    """The object that the certificate was issued for is gone, or is of another client."""
    REVOKED_CERTIFICATE = "revoked_certificate"
    """The certificates of the object that this one was issued for are revoked."""
    NO_CLIENT_KEYS = "no_client_keys"
    """The client keeps its keys at a URL, and they could not be fetched, or not for too long (RFC 7591 section 2)."""
    WRONG_ASSERTION = "wrong_assertion"
    """The client assertion does not prove that the client made it for this issuer just now (RFC 7523 section 3)."""
    REPLAYED_ASSERTION = "replayed_assertion"
    """The client assertion was used before."""
    ASSERTION_TYPE = "assertion_type"
    """``client_assertion`` and ``client_assertion_type`` are not both given, or it is another type than a JWT's."""
    CERTIFICATE_NEEDED = "certificate_needed"
    """Tokens of the client are bound to a certificate, and the connection has none that is valid."""
    SUSPENDED_CLIENT = "suspended_client"
    """The client is suspended."""
    UNKNOWN_GRANT_TYPE = "unknown_grant_type"
    """The issuer does not know the ``grant_type``."""
    UNREGISTERED_GRANT_TYPE = "unregistered_grant_type"
    """The client is not registered for the ``grant_type``."""
    MALFORMED_SCOPE = "malformed_scope"
    """``scope`` breaks the grammar of RFC 6749 section 3.3."""
    UNREGISTERED_SCOPE = "unregistered_scope"
    """The client is not registered for a requested scope."""
    MALFORMED_RESOURCE = "malformed_resource"
    """``resource`` is no absolute URI without a fragment (RFC 8707 section 2)."""
    UNREGISTERED_RESOURCE = "unregistered_resource"
    """The client is not registered for a requested resource."""
    NOT_THE_OPERATOR = "not_the_operator"
    """Somebody else than the operator reads a registration."""
    MALFORMED_EXCHANGE = "malformed_exchange"
    """A token exchange lacks ``subject_token``, or asks for what there is not (RFC 8693 section 2.1)."""
    WRONG_SUBJECT_TOKEN = "wrong_subject_token"
    """The ``subject_token`` does not count, or gives the caller nothing (RFC 8693 section 2.2.2)."""
    NO_REVIEW = "no_review"
    """The Kubernetes API cannot be asked whose token it is."""
    WRONG_INITIAL_TOKEN = "wrong_initial_token"
    """The request to register a client has no initial access token, or one of no grant (RFC 7591 section 3)."""
    WRONG_REGISTRATION_TOKEN = "wrong_registration_token"
    """The registration access token is missing, or is not that of this client (RFC 7592 section 2)."""
    WRONG_METADATA = "wrong_metadata"
    """The client metadata is malformed, or more than the grant allows (RFC 7591 section 3.2.2)."""
    TAKEN = "taken"
    """Another client has that name, certificate or key."""
    GRANT_EXHAUSTED = "grant_exhausted"
    """There are as many clients of the grant as it allows."""
    GRANT_GONE = "grant_gone"
    """The grant that the client was registered with is gone."""
    KEPT_ELSEWHERE = "kept_elsewhere"
    """Somebody else has changed the OAuthClient since, and it is theirs."""
    NO_REGISTRY = "no_registry"
    """The Kubernetes API cannot be asked, or does not let the issuer write OAuthClients."""
    WRONG_PROOF = "wrong_proof"
    """The DPoP proof is missing, or does not hold for this request (RFC 9449 section 4.3)."""
    REPLAYED_PROOF = "replayed_proof"
    """The DPoP proof was used before."""
    NO_NONCE = "no_nonce"
    """The DPoP proof has no recent nonce of the issuer."""
    NOT_A_PROXY = "not_a_proxy"
    """Somebody else than a registered proxy wants a request verified."""
    MALFORMED_DEMAND = "malformed_demand"
    """What a proxy demands of a token is malformed."""
    NO_ACCESS_TOKEN = "no_access_token"
    """The request to a resource has no access token."""
    WRONG_TOKEN = "wrong_token"
    """The access token is malformed, of somebody else, expired or revoked."""
    WRONG_AUDIENCE = "wrong_audience"
    """The access token is for another resource."""
    UNBOUND_TOKEN = "unbound_token"
    """The access token is bound to nothing, and the resource demands that."""
    NO_POSSESSION = "no_possession"
    """The caller has not proven that it holds what the access token is bound to (RFC 8705 section 3)."""
    MISSING_SCOPE = "missing_scope"
    """The access token lacks a scope that the resource demands."""
    NO_SIGNING_KEY = "no_signing_key"
    """There is no key to sign with."""
    TOO_MANY_REQUESTS = "too_many_requests"
    """The client, or the address that it calls from, is faster than is allowed (RFC 6585 section 4)."""
    NO_LEDGER = "no_ledger"
    """What has to be written down for all replicas could not be."""


class OAuthError(Exception):
    """A request that is refused.

    Attributes:
        code: ``error`` of the answer.
        reason: Why, for the audit log and the metrics.
        detail: What exactly, for the audit log; may hold what the client sent, never a token or a key. Halves of
            characters, which JSON can escape (RFC 8259 section 8.2) and UTF-8 cannot write, are escaped in it.
    """

    code: ClassVar[str]
    _description: ClassVar[str]

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail.encode(errors="backslashreplace").decode()

    @property
    def description(self) -> str:
        """``error_description`` of the answer: ASCII without quote and backslash (RFC 6749 section 5.2)."""
        return self._description


_WHAT_IS_WRONG: Mapping[Reason, str] = {
    Reason.WRONG_MEDIA_TYPE: "the Content-Type must be application/x-www-form-urlencoded, in UTF-8",
    Reason.CONTENT_ENCODED: "the body must not be compressed: send it without Content-Encoding",
    Reason.BODY_TOO_LARGE: "the body is too large: a request has a few short parameters",
    Reason.BODY_TOO_SLOW: "the body did not arrive in time",
    Reason.MALFORMED_BODY: "the body is not well formed: a form has name=value pairs joined by &, percent-encoded "
    "UTF-8; JSON, where it is taken, is an object of strings",
    Reason.REPEATED_PARAMETER: "a parameter is repeated: each may be given once, except resource",
    Reason.MISSING_GRANT_TYPE: "the parameter grant_type is missing: use grant_type=client_credentials",
    Reason.MISSING_CLIENT_ID: "the parameter client_id is missing: it goes with the certificate",
    Reason.MISSING_TOKEN: "the parameter token is missing",
    Reason.FOREIGN_TOKEN: "the token was issued to another client: a client can revoke its own tokens only",
    Reason.SEVERAL_CREDENTIALS: "the client may use one way to authenticate: the certificate of the TLS connection, or "
    "a client_assertion, without client_secret",
    Reason.ASSERTION_TYPE: "client_assertion goes with client_assertion_type="
    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
    Reason.MALFORMED_EXCHANGE: "an exchange has subject_token, subject_token_type=urn:ietf:params:oauth:token-type:"
    "access_token (or jwt for a service account, where the issuer takes these), and no actor_token",
    Reason.WRONG_SUBJECT_TOKEN: "the subject_token is expired, revoked or unknown, or was not given for this client",
    Reason.NOT_A_PROXY: "only a proxy that the issuer was told of may ask this, by the certificate of its OAuthClient",
    Reason.MALFORMED_DEMAND: "the demand must have audience, and may have scope and possession=strict or optional, "
    "each once and nothing else",
    Reason.CERTIFICATE_NEEDED: "tokens of the client are bound to a certificate: present one that is valid now in the "
    "TLS handshake, at an endpoint of mtls_endpoint_aliases",
}


class InvalidRequest(OAuthError):
    """``invalid_request``: the request itself is wrong, and the text says how to put it right."""

    code = "invalid_request"

    @property
    def description(self) -> str:
        """What is wrong with the request, by reason."""
        return _WHAT_IS_WRONG[self.reason]


class InvalidClient(OAuthError):
    """``invalid_client``: the same words for an unknown, a suspended and a wrong client."""

    code = "invalid_client"
    _description = "client authentication failed"


class UnknownKey(InvalidClient):
    """``invalid_client``: a key signed that is none of the client's, as far as they are known."""


class UnauthorizedClient(OAuthError):
    """``unauthorized_client``: the client may not use this grant."""

    code = "unauthorized_client"
    _description = "the client is not registered for this grant_type"


class UnsupportedGrantType(OAuthError):
    """``unsupported_grant_type``: nobody may use this grant here."""

    code = "unsupported_grant_type"
    _description = "the grant_type is not supported: use client_credentials, or token-exchange by its URN"


class InvalidScope(OAuthError):
    """``invalid_scope``: malformed, or more than the client is registered for."""

    code = "invalid_scope"
    _description = "the scope is malformed, or not among the scopes that the client is registered for"


class InvalidTarget(OAuthError):
    """``invalid_target``: a resource that the client gets no tokens for."""

    code = "invalid_target"
    _description = "the resource is malformed, or not among the audiences that the client is registered for"


_WRONG_TOKENS: Mapping[Reason, str] = {
    Reason.NOT_THE_OPERATOR: "the caller may not read registrations",
    Reason.WRONG_INITIAL_TOKEN: "the initial access token is missing or unknown: whoever runs the issuer gives it out",
    Reason.WRONG_REGISTRATION_TOKEN: "the registration access token is missing, or is not that of this client",
}


class InvalidToken(OAuthError):
    """``invalid_token``: the same words for whatever is wrong with the token.

    RFC 7592 section 2.1 answers so, too, whoever may not read a registration.
    """

    code = "invalid_token"
    _description = (
        "the access token is missing, malformed, expired, revoked, for another resource, or not bound to what the "
        "caller has proven"
    )

    @property
    def description(self) -> str:
        """The same words, but for registrations, where it is another kind of token, or none."""
        return _WRONG_TOKENS.get(self.reason, self._description)


class InsufficientScope(OAuthError):
    """``insufficient_scope``: the token is good, but not for this.

    Attributes:
        scope: What the resource demands, in the characters of RFC 6749 section 3.3.
    """

    code = "insufficient_scope"
    _description = "the access token lacks a scope that the resource demands"

    def __init__(self, reason: Reason, detail: str = "", *, scope: str = "") -> None:
        super().__init__(reason, detail)
        self.scope = scope


class AccessDenied(OAuthError):
    """``access_denied``: the token is good, but this may not be done with it (RFC 7592 section 2: 403)."""

    code = "access_denied"

    @property
    def description(self) -> str:
        """Why not, by reason."""
        return _DENIED.get(self.reason, "this may not be done with this token")


_DENIED: Mapping[Reason, str] = {
    Reason.GRANT_EXHAUSTED: "there are as many clients as the initial access token allows: delete one first",
    Reason.GRANT_GONE: "the grant that the client was registered with is gone: it can be read and deleted only",
    Reason.KEPT_ELSEWHERE: "the OAuthClient has been changed in the Kubernetes API: here it can be read only",
}


class InvalidClientMetadata(OAuthError):
    """``invalid_client_metadata``: what the client wants to be registered as.

    Args:
        reason: Why.
        problem: Which member, what is wrong with it and what would be right. It goes out, so it holds no value.
    """

    code = "invalid_client_metadata"

    def __init__(self, reason: Reason, problem: str) -> None:
        super().__init__(reason, problem)

    @property
    def description(self) -> str:
        """The problem, in the characters that RFC 6749 section 5.2 permits."""
        return "".join(_PERMITTED.get(character, character) for character in self.detail if " " <= character <= "~")


_PERMITTED: Mapping[str, str] = {'"': "'", "\\": "/"}


class InvalidRedirectUri(InvalidClientMetadata):
    """``invalid_redirect_uri``: nothing here redirects."""

    code = "invalid_redirect_uri"


class InvalidDpopProof(OAuthError):
    """``invalid_dpop_proof``: the same words for whatever is wrong with the proof."""

    code = "invalid_dpop_proof"
    _description = (
        "the DPoP header must be there once, with a proof of RFC 9449 for this method and URL, made just now and not "
        "used before"
    )


class UnprovenRequest(InvalidDpopProof):
    """``invalid_dpop_proof`` at a resource (RFC 9449 section 7.1)."""


class UseDpopNonce(OAuthError):
    """``use_dpop_nonce``: the proof has to have a nonce, which comes along.

    Attributes:
        nonce: ``DPoP-Nonce`` of the answer.
    """

    code = "use_dpop_nonce"
    _description = "the DPoP proof must have the nonce that this answer has in DPoP-Nonce"

    def __init__(self, reason: Reason, detail: str = "", *, nonce: str = "") -> None:
        super().__init__(reason, detail)
        self.nonce = nonce


class TemporarilyUnavailable(OAuthError):
    """``temporarily_unavailable``: the issuer lacks something, or gives no more; a later try may succeed.

    Attributes:
        retry_after: Seconds to wait.
    """

    code = "temporarily_unavailable"
    _description = "the issuer cannot answer at the moment: try again in a few seconds"

    def __init__(self, reason: Reason, detail: str = "", *, retry_after: int = 5) -> None:
        super().__init__(reason, detail)
        self.retry_after = retry_after
