"""A request for a token, and what of it the client may have, whatever the grant."""

import re

import msgspec

from mintls.core.oauth.client import Client, audience_claim
from mintls.core.oauth.client_assertion import claimed_subject, presented_assertion
from mintls.core.oauth.errors import (
    InvalidRequest,
    InvalidScope,
    InvalidTarget,
    Reason,
    UnauthorizedClient,
    UnsupportedGrantType,
)
from mintls.core.oauth.form import Form

CLIENT_CREDENTIALS = "client_credentials"
"""RFC 6749 section 4.4."""
TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
"""RFC 8693 section 2.1."""
GRANT_TYPES = (CLIENT_CREDENTIALS, TOKEN_EXCHANGE)

# RFC 6749 section 3.3: scope = scope-token *( SP scope-token ); scope-token = 1*( %x21 / %x23-5B / %x5D-7E ).
_SCOPE = re.compile(r"[\x21\x23-\x5B\x5D-\x7E]+(?: [\x21\x23-\x5B\x5D-\x7E]+)*")
# RFC 3986 section 4.3, absolute-URI, by its characters and its scheme; RFC 8707 section 2 allows no fragment.
_ABSOLUTE_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+")
# RFC 6749 section 2.3: a client must not use more than one method of authentication in a request.
_OTHER_CREDENTIALS = ("client_secret",)


class TokenRequest(msgspec.Struct, frozen=True):
    """What is asked for, before anybody looked whether it may be had, or who asks.

    Attributes:
        grant_type: ``grant_type``.
        scope: ``scope`` as sent, ``None`` if it is left out.
        resources: Each ``resource`` as sent (RFC 8707).
    """

    grant_type: str
    scope: str | None
    resources: tuple[str, ...]


def parse_token_request(form: Form) -> TokenRequest:
    """RFC 6749 section 4.4.2 with RFC 8705 section 2 and RFC 8707 section 2.

    Raises:
        InvalidRequest: ``grant_type`` is missing.
    """
    grant_type = form.one("grant_type")
    if grant_type is None:
        raise InvalidRequest(Reason.MISSING_GRANT_TYPE)
    return TokenRequest(
        grant_type=grant_type,
        scope=form.one("scope"),
        resources=form.every("resource"),
    )


def claimed_client_id(form: Form) -> str:
    """Who the caller says it is: ``client_id``, which RFC 8705 section 2 requires with mutual TLS.

    An assertion says it, too: beside one it may be left out (RFC 7521 section 4.2).

    Raises:
        InvalidRequest: It is missing, or a credential of another method is given.
    """
    for name in _OTHER_CREDENTIALS:
        if name in form:
            raise InvalidRequest(Reason.SEVERAL_CREDENTIALS, f"parameter {name}")
    client_id = form.one("client_id")
    assertion = presented_assertion(form)
    if client_id is None and assertion is not None:
        return claimed_subject(assertion)
    if client_id is None:
        raise InvalidRequest(Reason.MISSING_CLIENT_ID)
    return client_id


def permit_grant(client: Client, grant_type: str) -> None:
    """Whether the client may use the grant (RFC 6749 section 5.2).

    Raises:
        UnsupportedGrantType: Nobody may.
        UnauthorizedClient: This client may not.
    """
    if grant_type not in GRANT_TYPES:
        raise UnsupportedGrantType(Reason.UNKNOWN_GRANT_TYPE, repr(grant_type[:64]))
    if grant_type not in client.registration.grant_types:
        raise UnauthorizedClient(Reason.UNREGISTERED_GRANT_TYPE, grant_type)


def is_scope(text: str) -> bool:
    """Whether it is one scope or several (RFC 6749 section 3.3)."""
    return _SCOPE.fullmatch(text) is not None


def is_absolute_uri(text: str) -> bool:
    """Whether it is an absolute URI without a fragment (RFC 3986 section 4.3), as a resource has to be."""
    return _ABSOLUTE_URI.fullmatch(text) is not None


def grant_scope(client: Client, asked: str | None) -> str:
    """The scope of the token (RFC 6749 section 3.3): what was asked for, each once, or the client's default.

    Returns:
        The scope in the order in which it was asked for, "" for none.

    Raises:
        InvalidScope: Malformed, or not registered. Nothing is left out silently.
    """
    if asked is None:
        return client.default_scope
    scopes = dict.fromkeys(asked.split(" "))
    if client.scopes.issuperset(scopes):  # what is registered is well-formed
        return " ".join(scopes)
    if not is_scope(asked):
        raise InvalidScope(Reason.MALFORMED_SCOPE, repr(asked[:128]))
    raise InvalidScope(
        Reason.UNREGISTERED_SCOPE, " ".join(scope for scope in scopes if scope not in client.scopes)[:256]
    )


def grant_audience(client: Client, resources: tuple[str, ...]) -> str | tuple[str, ...]:
    """``aud`` of the token (RFC 8707 section 2): the resources that were asked for, or all that the client has.

    Resources are compared as strings, without normalization (RFC 3986 section 6.2.1).

    Raises:
        InvalidTarget: Malformed, or not registered.
    """
    if not resources:
        return client.default_audience
    if client.audiences.issuperset(resources):
        return audience_claim(tuple(dict.fromkeys(resources)))
    excess = next(resource for resource in resources if resource not in client.audiences)
    reason = Reason.UNREGISTERED_RESOURCE if is_absolute_uri(excess) else Reason.MALFORMED_RESOURCE
    raise InvalidTarget(reason, repr(excess[:256]))
