"""docs/openapi.yaml describes the routes that there are and no others, in the words of the code."""

import re
from dataclasses import replace
from typing import Any

import msgspec
import schemathesis
from aiohttp import web

from builders.issuer import SETTINGS, MemoryLedger, MemoryRegistry, MemoryReviewer
from builders.openapi import DOCUMENT, SCHEMAS, operations
from mintls.core.oauth.client_metadata import SUBJECT_PARAMETERS, ClientMetadata
from mintls.core.oauth.errors import OAuthError
from mintls.core.oauth.metadata import AUTH_METHODS, server_metadata
from mintls.core.oauth.signing_algorithms import ALGORITHMS
from mintls.core.oauth.token_request import GRANT_TYPES
from mintls.issuer.endpoints.token import TokenResponse
from mintls.issuer.run import Issuer
from mintls.issuer.server import probe_app
from mintls.issuer.settings import RegistrationSecret


def applications() -> dict[str, web.Application]:
    settings = replace(SETTINGS, registrations=(RegistrationSecret("registration-shop", "shop"),))
    issuer = Issuer(settings, MemoryLedger(), MemoryRegistry(), MemoryReviewer())
    front = issuer._front
    return {"open": front.open_app(), "mtls": front.mtls_app(), "probe": probe_app(issuer.metrics, tuple)}


def routes(application: web.Application) -> set[tuple[str, str]]:
    """Method and pattern of each; HEAD goes with GET (RFC 9110 section 9.3.2) and is not written down."""
    found = set()
    for route in application.router.routes():
        assert route.resource is not None
        info = route.resource.get_info()
        pattern = info["pattern"].pattern if "pattern" in info else re.escape(info["path"])
        if route.method != "HEAD":
            found.add((route.method, pattern))
    return found


def test_every_route_is_in_it_and_nothing_else() -> None:
    for listener, application in applications().items():
        actual, described = routes(application), [one for one in operations() if one.listener == listener]
        matched = set()
        for operation in described:
            path = re.sub(r"\{\w+\}", "x", operation.path)
            # A route of any method is described by one of them.
            hits = {(method, p) for method, p in actual if method in {operation.method, "*"} and re.fullmatch(p, path)}
            assert len(hits) == 1, f"{operation.method} {operation.path} is no route of the {listener} listener"
            matched |= hits
        assert matched == actual, f"routes of the {listener} listener that docs/openapi.yaml lacks"


def test_it_is_openapi_and_each_operation_has_a_name_of_its_own() -> None:
    schemathesis.openapi.from_dict(DOCUMENT).validate()
    names: dict[str, tuple[str, str]] = {}
    for one in operations():
        assert names.setdefault(one.id, (one.method, one.path)) == (one.method, one.path)


def test_the_error_codes() -> None:
    def codes(of: type[OAuthError]) -> set[str]:
        return {of.code} | {code for each in of.__subclasses__() for code in codes(each)}

    known = {code for error in OAuthError.__subclasses__() for code in codes(error)}
    assert SCHEMAS["Error"]["properties"]["error"]["enum"] == sorted(known | {"not_found", "server_error"})


def names(struct: type[msgspec.Struct]) -> set[str]:
    return {field.encode_name for field in msgspec.structs.fields(struct)}


def test_the_members_of_requests_and_answers() -> None:
    assert SCHEMAS["ClientMetadata"]["properties"].keys() == names(ClientMetadata)
    assert SCHEMAS["TokenResponse"]["properties"].keys() == names(TokenResponse)
    assert set(SUBJECT_PARAMETERS.values()) <= SCHEMAS["Client"]["properties"].keys()
    metadata = server_metadata("https://a", "https://b", registers=True)
    assert SCHEMAS["Metadata"]["properties"].keys() == metadata.keys()
    assert {*SCHEMAS["Metadata"]["required"], "registration_endpoint"} == metadata.keys()


def test_the_values() -> None:
    assert SCHEMAS["AuthMethod"]["enum"] == list(AUTH_METHODS)
    assert sorted(SCHEMAS["SigningKey"]["properties"]["alg"]["enum"]) == sorted(ALGORITHMS)
    [_, request] = SCHEMAS["TokenRequest"]["allOf"]
    assert request["properties"]["grant_type"]["enum"] == list(GRANT_TYPES)


def test_every_answer_has_a_request_id_where_there_is_an_endpoint() -> None:
    for path, item in DOCUMENT["paths"].items():
        for operation in (value for value in item.values() if isinstance(value, dict)):
            if "probes" in operation["tags"]:
                continue
            for status, response in operation["responses"].items():
                headers: dict[str, Any] = _resolved(response).get("headers", {})
                assert headers["X-Request-ID"] == {"$ref": "#/components/headers/X-Request-ID"}, (path, status)


def _resolved(response: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in response:
        return response
    value: dict[str, Any] = DOCUMENT["components"]["responses"][response["$ref"].rpartition("/")[2]]
    return value
