from typing import Any

import pytest

from builders.kube import status_object
from mintls.kube import errors
from mintls.kube.errors import ApiError, from_status

SECRET = "/api/v1/namespaces/shop/secrets/billing-mtls"
CLIENT_STATUS = "/apis/mintls.dev/v1alpha1/namespaces/shop/oauthclients/billing/status"


def an_error(
    code: int, reason: str, message: str = "no", *, path: str = SECRET, verb: str = "patch", **details: Any
) -> ApiError:
    return from_status(verb, path, code, status_object(code, reason, message, **details))


@pytest.mark.parametrize(
    ("code", "reason", "kind", "retriable"),
    [
        (400, "BadRequest", ApiError, False),
        (401, "Unauthorized", errors.Unauthorized, True),
        (403, "Forbidden", errors.Forbidden, False),
        (404, "NotFound", errors.NotFound, False),
        (405, "MethodNotAllowed", ApiError, False),
        (409, "Conflict", errors.Conflict, True),
        (409, "AlreadyExists", errors.AlreadyExists, False),
        (410, "Expired", errors.Gone, True),
        (410, "Gone", errors.Gone, True),
        (413, "RequestEntityTooLarge", ApiError, False),
        (422, "Invalid", errors.Invalid, False),
        (429, "TooManyRequests", errors.TooManyRequests, True),
        (500, "InternalError", errors.ServerError, True),
        (503, "ServiceUnavailable", errors.ServerError, True),
        (504, "Timeout", errors.ServerError, True),
    ],
)
def test_each_status_has_its_class(code: int, reason: str, kind: type[ApiError], retriable: bool) -> None:  # noqa: FBT001 - a column
    error = an_error(code, reason)
    assert type(error) is kind
    assert error.retriable is retriable
    assert (error.status, error.reason) == (code, reason)


def test_the_message_names_verb_and_object_and_what_is_wrong() -> None:
    error = an_error(422, "Invalid", "spec.scopes: Required value", path=CLIENT_STATUS)
    assert str(error) == (
        "patch oauthclients.mintls.dev/status shop/billing: spec.scopes: Required value (HTTP 422 Invalid)"
    )


def test_a_missing_right_is_named_as_rbac_spells_it() -> None:
    told = 'User "mintls" cannot patch resource "oauthclients/status" in API group "mintls.dev" in the namespace "shop"'
    error = an_error(403, "Forbidden", told, path=CLIENT_STATUS)
    assert 'verb "patch" on resource "oauthclients/status" of API group "mintls.dev" in namespace "shop"' in str(error)
    told = 'User "mintls" cannot list resource "secrets" in API group "" at the cluster scope'
    cluster_wide = an_error(403, "Forbidden", told, path="/api/v1/secrets", verb="list")
    assert 'verb "list" on resource "secrets" of API group "" at cluster scope' in str(cluster_wide)


def test_an_exhausted_quota_is_named_and_is_no_missing_right() -> None:
    told = 'secrets "billing-mtls" is forbidden: exceeded quota: few, requested: secrets=1, used: secrets=1, limited: 1'
    error = an_error(403, "Forbidden", told, verb="create")
    assert isinstance(error, errors.Forbidden)
    assert (error.quota, error.right_missing) == ("few", False)
    assert 'raise ResourceQuota "few" in namespace "shop", or delete what uses it up' in str(error)


def test_an_admission_rule_is_no_missing_right() -> None:
    error = an_error(403, "Forbidden", 'admission webhook "policy.example.com" denied the request: no')
    assert isinstance(error, errors.Forbidden)
    assert not error.right_missing
    assert "identity needs" not in str(error)


def test_a_namespace_that_ends_is_no_missing_right() -> None:
    causes = [{"reason": "NamespaceTerminating", "message": "namespace shop is being terminated", "field": "x"}]
    error = an_error(403, "Forbidden", verb="create", causes=causes)
    assert isinstance(error, errors.Forbidden)
    assert error.namespace_terminating
    assert "being deleted" in str(error)
    assert "identity needs" not in str(error)


def test_a_missing_crd_is_told_from_a_missing_object() -> None:
    no_object = an_error(404, "NotFound", 'secrets "billing-mtls" not found')
    no_resource = from_status("list", "/apis/mintls.dev/v1alpha1/oauthclients", 404, None, text="404 page not found\n")
    assert isinstance(no_object, errors.NotFound)
    assert not no_object.resource_missing
    assert isinstance(no_resource, errors.NotFound)
    assert no_resource.resource_missing
    assert "oauthclients.mintls.dev: is its CRD installed?" in str(no_resource)


KEY = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2OF/2NxApJCzGCEDdfSp6VQO30hyh"


@pytest.mark.parametrize(
    "quoted",
    [
        f"-----BEGIN PRIVATE KEY-----\n{KEY}\nc2hvcnQ=\n-----END PRIVATE KEY-----\n",
        f"-----BEGIN PRIVATE KEY-----\n{KEY}\nc2hvcnQ=",
        f"data.tls.key: {KEY}",
    ],
)
def test_key_material_that_the_server_quotes_is_withheld(quoted: str) -> None:
    causes = [{"reason": "FieldValueInvalid", "field": "data", "message": quoted}]
    error = an_error(400, "BadRequest", f"cannot decode {quoted} as bytes", causes=causes)
    for text in (str(error), repr(error), repr(error.causes)):
        assert KEY not in text
        assert "c2hvcnQ=" not in text
    assert "cannot decode [withheld]" in str(error) or "data.tls.key: [withheld]" in str(error)


def test_other_objects_messages_stay_whole() -> None:
    fingerprint = "a" * 64
    assert fingerprint in str(an_error(422, "Invalid", f"{fingerprint} is not known", path=CLIENT_STATUS))


def test_the_wait_that_the_server_asks_for_is_kept() -> None:
    assert an_error(429, "TooManyRequests", retryAfterSeconds=7).retry_after == 7
    answer = status_object(429, "TooManyRequests", retryAfterSeconds=7)
    assert from_status("get", SECRET, 429, answer, retry_after=3.0).retry_after == 3
    assert an_error(500, "InternalError").retry_after is None
