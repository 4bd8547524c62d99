"""A real Envoy in front of a resource, as docs/examples/envoy has it, and curl in front of Envoy."""

import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import indent

import pytest

from builders.dpop import proof
from builders.envoy import mount, running_envoy
from builders.forwarded import xfcc
from builders.issuer import ISSUER_URL, SETTINGS, Reply, registration, running_issuer
from builders.pki import HOUR, NOW, Leaf, dns, uri
from builders.processes import output
from builders.protected import Protected
from builders.world import REPOSITORY, eventually, free_port
from clusterlib.envoy import NoEnvoyHereError, ensure_envoy
from clusterlib.progress import Progress
from mintls.core.oauth.forwarded_certificate import Format
from mintls.issuer.settings import Address, TrustedProxy

pytestmark = pytest.mark.proxy

EXAMPLES = REPOSITORY / "docs" / "examples" / "envoy"
EXAMPLE = EXAMPLES / "envoy.yaml"
OVER_GRPC = EXAMPLES / "envoy-grpc.yaml"
GATEWAY = TrustedProxy("edge", "gateway", Format.XFCC)
SERVED = replace(SETTINGS, proxies=(GATEWAY,), ext_authz_address=Address("127.0.0.1", 0))
GATEWAY_NAME = uri("spiffe://cluster.local/ns/edge/client/gateway")
CHALLENGE = f'Bearer realm="{ISSUER_URL}"'


@dataclass
class Resource(Protected):
    """https://orders.shop.svc behind Envoy, whose certificate is in a folder."""

    secret: Path

    async def get(self, token: str | None, leaf: Leaf | None, *arguments: str, path: str = "/") -> Reply:
        return await super().get(token, leaf, "-H", "Host: orders.shop.svc", *arguments, path=path)


@pytest.fixture(scope="module")
def envoy() -> Path:
    try:
        return ensure_envoy(Progress())
    except NoEnvoyHereError as error:
        pytest.skip(str(error))


@pytest.fixture(params=[EXAMPLE, OVER_GRPC], ids=["http", "grpc"])
async def resource(envoy: Path, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Resource]:
    async with running_resource(envoy, tmp_path, request.param) as value:
        yield value


@asynccontextmanager
async def running_resource(
    envoy: Path, tmp_path: Path, example: Path, changes: Mapping[str, str] = {}
) -> AsyncIterator[Resource]:
    async with AsyncExitStack() as stack:
        bench = await stack.enter_async_context(running_issuer(tmp_path, SERVED))
        bench.put(registration("gateway", "edge"))
        bench.serve_as(bench.authority.server((*dns("localhost", "mintls-issuer.mintls-system.svc"),)))
        gateway = bench.authority.client(GATEWAY_NAME, not_after=NOW + HOUR)
        mount(tmp_path / "gateway", gateway, bench.authority.bundle)
        (tmp_path / "tls").mkdir()
        bench.authority.server(dns("orders.shop.svc", "localhost")).write(tmp_path / "tls")
        port, upstream = free_port(), free_port()
        addresses = {
            "address: 0.0.0.0, port_value: 443": f"address: 127.0.0.1, port_value: {port}",
            f"address: mintls-issuer.mintls-system.svc, port_value: {9444 if example == OVER_GRPC else 9443}": (
                f"address: 127.0.0.1, port_value: {bench.ext_authz_port if example == OVER_GRPC else bench.mtls_port}"
            ),
            "address: localhost, port_value: 8080": f"address: 127.0.0.1, port_value: {upstream}",
            "/etc/envoy": str(tmp_path),
        }
        running = running_envoy(
            envoy, example, tmp_path, port=port, upstream=upstream, changes={**addresses, **changes}
        )
        await stack.enter_async_context(running)
        yield Resource(bench, port, tmp_path / "gateway")


async def test_whoever_holds_the_certificate_of_a_token_passes(resource: Resource) -> None:
    leaf = resource.bench.authority.client()
    reply = await resource.get(await resource.token(leaf), leaf)
    assert (reply.status, reply.body) == (200, b"GET / client=shop:billing scope=orders.read\n")
    assert resource.bench.audit[-1]["thumbprint"] == leaf.thumbprint


async def test_by_any_method_and_whatever_its_body(resource: Resource) -> None:
    leaf = resource.bench.authority.client()
    token = await resource.token(leaf)
    for method in ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PURGE"):
        arguments = ("-X", method, "--data-binary", "grant_type=x" * 10_000)
        reply = await resource.get(token, leaf, *arguments, path="/orders/1?page=2")
        assert (method, reply.status) == (method, 200), resource.bench.audit[-1]
        assert reply.body.decode().startswith(f"{method} /orders/1?page=2 client=shop:billing")
    assert (await resource.get(token, leaf, "--head")).status == 200


PATHS = (
    "/?audience=https://b&scope=orders.write",
    "/;audience=https:%2F%2Fb/",
    "//verify;audience=https:%2F%2Fb/",
    "/../verify;audience=https:%2F%2Fb/",
    "/%2e%2e/%2f/%0a%25%C3%A4%ff",
    "/" + "a" * 3000,
)


async def test_no_path_changes_what_is_demanded(resource: Resource) -> None:
    leaf = resource.bench.authority.client()
    good, bad = await resource.token(leaf), await resource.token(leaf, scope="orders.write")
    for path in PATHS:
        assert ((await resource.get(good, leaf, path=path)).status, path) == (200, path)
        assert resource.bench.audit[-1]["audience"] == "https://orders.shop.svc"
        reply = await resource.get(bad, leaf, path=path)
        assert (reply.status, resource.bench.audit[-1]["reason"], path) == (403, "missing_scope", path)


async def test_nor_does_a_header(resource: Resource) -> None:
    leaf = resource.bench.authority.client()
    token = await resource.token(leaf, scope="orders.write")
    reply = await resource.get(token, leaf, "-H", "X-Token-Demand: audience=https://orders.shop.svc")
    assert reply.status == 403


async def test_a_path_that_does_not_begin_with_a_slash_never_arrives(resource: Resource) -> None:
    leaf = resource.bench.authority.client()
    token = await resource.token(leaf)
    known = len(resource.bench.audit)
    for target in ("*", ";audience=https:%2F%2Fb/", "&possession=optional/", "?/"):
        reply = await resource.get(token, leaf, "--request-target", target, "-X", "OPTIONS" if target == "*" else "GET")
        assert 400 <= reply.status < 500, target
    assert len(resource.bench.audit) == known


async def test_a_stolen_token_is_of_no_use(resource: Resource) -> None:
    leaf = resource.bench.authority.client()
    token = await resource.token(leaf)
    for thief in (None, resource.bench.authority.client()):
        reply = await resource.get(token, thief)
        assert (reply.status, reply.headers["www-authenticate"]) == (401, f'{CHALLENGE}, error="invalid_token"')


async def test_nor_with_its_certificate_in_a_header_that_the_thief_writes_itself(resource: Resource) -> None:
    leaf = resource.bench.authority.client()
    token = await resource.token(leaf)
    headers = [argument for name, value in xfcc(leaf) for argument in ("-H", f"{name}: {value}")]
    for thief in (None, resource.bench.authority.client()):
        assert (await resource.get(token, thief, *headers)).status == 401
    assert resource.bench.audit[-1]["reason"] == "no_possession"


async def test_what_the_resource_is_told_of_a_client_comes_from_the_issuer_alone(resource: Resource) -> None:
    leaf = resource.bench.authority.client()
    headers = ("-H", "X-Token-Client-Id: shop:admin", "-H", "X-Token-Scope: admin")
    reply = await resource.get(await resource.token(leaf), leaf, *headers)
    assert reply.body == b"GET / client=shop:billing scope=orders.read\n"


async def test_without_a_token_there_is_a_challenge(resource: Resource) -> None:
    reply = await resource.get(None, resource.bench.authority.client())
    assert reply.status == 401
    assert reply.headers["www-authenticate"].startswith(f'{CHALLENGE}, DPoP realm="{ISSUER_URL}"')


async def test_a_token_without_the_scope_is_told_which(resource: Resource) -> None:
    leaf = resource.bench.authority.client()
    reply = await resource.get(await resource.token(leaf, scope="orders.write"), leaf)
    challenge = f'{CHALLENGE}, error="insufficient_scope", scope="orders.read"'
    assert (reply.status, reply.headers["www-authenticate"]) == (403, challenge)


async def test_a_token_that_is_bound_to_a_key_passes_with_a_proof_for_this_request(resource: Resource) -> None:
    token = await resource.token_of_a_key()
    path = "/orders/1"
    for htm, htu, status in (
        ("DELETE", f"https://orders.shop.svc{path}", 200),
        ("GET", f"https://orders.shop.svc{path}", 401),
        ("DELETE", "https://orders.shop.svc/orders/2", 401),
        ("DELETE", f"https://elsewhere.example{path}", 401),
        ("DELETE", f"http://orders.shop.svc{path}", 401),
    ):
        shown = proof(token=token, htm=htm, htu=htu, jti=htm + htu)
        headers = ("-H", f"Authorization: DPoP {token}", "-H", f"DPoP: {shown}", "-H", "X-Forwarded-Proto: http")
        reply = await resource.get(None, None, *headers, "-X", "DELETE", path=f"{path}?really=yes")
        assert (reply.status, htm, htu) == (status, htm, htu), resource.bench.audit[-1]


async def test_a_renewed_certificate_of_the_proxy_is_taken_up_without_a_restart(resource: Resource) -> None:
    bench, leaf = resource.bench, resource.bench.authority.client()
    assert (await resource.get(await resource.token(leaf), leaf)).status == 200
    mount(resource.secret, bench.authority.client(GATEWAY_NAME), bench.authority.bundle)
    bench.clock.now += 2 * HOUR  # the old one has ended, and a connection that was made with it is still open
    token = await resource.token(leaf)

    async def passes() -> bool:
        return (await resource.get(token, leaf)).status == 200

    await eventually(passes)


async def test_nobody_passes_while_there_is_no_issuer_that_envoy_trusts(resource: Resource) -> None:
    leaf = resource.bench.authority.client()
    token = await resource.token(leaf)
    resource.bench.serve_as(resource.bench.authority.server(dns("somewhere.else")))
    assert (await resource.get(token, leaf)).status == 403


async def test_a_gateway_that_is_suspended_lets_nobody_through(resource: Resource) -> None:
    leaf = resource.bench.authority.client()
    token = await resource.token(leaf)
    resource.bench.put(registration("gateway", "edge", suspended=True))
    assert (await resource.get(token, leaf)).status == 400
    assert resource.bench.audit[-1]["reason"] == "not_a_proxy"
    resource.bench.put(registration("gateway", "edge"))
    assert (await resource.get(token, leaf)).status == 200


PAGE = (REPOSITORY / "docs" / "envoy.md").read_text()


@pytest.mark.parametrize("resource", [EXAMPLE], indirect=True)
async def test_the_commands_of_the_page(resource: Resource, tmp_path: Path) -> None:
    leaf = resource.bench.authority.client()
    leaf.write(tmp_path, "client")
    for name in ("crt", "key"):
        (tmp_path / f"client.{name}").rename(tmp_path / f"tls.{name}")
    assert resource.bench.ca_file == tmp_path / "ca.crt"
    (tmp_path / "token").write_text(await resource.token(leaf))
    (tmp_path / ".curlrc").write_text(f"connect-to = orders.shop.svc:443:127.0.0.1:{resource.port}\n")
    [session] = re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    for command, shown in re.findall(r"^\$ (.*)\n((?:[^$].*\n|\n)*)", session, re.MULTILINE):
        ended = await output(command, cwd=tmp_path, env={**os.environ, "CURL_HOME": str(tmp_path)})
        varying = re.compile(r"(?m)^(date|x-request-id): .*")
        printed = (
            ended.stdout.decode()
            .replace("\r\n", "\n")
            .replace(ISSUER_URL, "https://mintls-issuer.mintls-system.svc:8443")
        )
        assert varying.sub(r"\1", printed.rstrip("\n")) == varying.sub(r"\1", shown.rstrip("\n"))


def block(marked: str) -> str:
    """The YAML block of the page with a line in it, as deep as in the example."""
    [found] = [text for text in re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL) if marked in text]
    return found


async def demands_differ(resource: Resource) -> None:
    """One route wants another scope than the other."""
    leaf = resource.bench.authority.client()
    for scope, path, status in (
        ("orders.read", "/orders/1", 200),
        ("orders.read", "/admin/1", 403),
        ("orders.write", "/orders/1", 403),
        ("orders.write", "/admin/1", 200),
    ):
        reply = await resource.get(await resource.token(leaf, scope=scope), leaf, path=path)
        assert (scope, path, reply.status) == (scope, path, status), resource.bench.audit[-1]


class TestDemandInAHeader:
    """By what docs/envoy.md says for one listener with several resources."""

    @pytest.fixture
    async def resource(self, envoy: Path, tmp_path: Path) -> AsyncIterator[Resource]:
        depth = re.search(r"^ *(?=path_prefix:)", EXAMPLE.read_text(), re.MULTILINE)
        assert depth
        changes = {
            f"{depth[0]}path_prefix: /verify;audience=https:%2F%2Forders.shop.svc&scope=orders.read\n": indent(
                block("path_prefix: /verify;demand=header"), depth[0]
            ),
            "- match: {prefix: /}\n                          route: {cluster: orders}\n": indent(
                block("prefix: /forgotten"), " " * 24
            ).lstrip(),
        }
        async with running_resource(envoy, tmp_path, EXAMPLE, changes) as value:
            yield value

    async def test_each_route_has_its_own(self, resource: Resource) -> None:
        await demands_differ(resource)

    async def test_whatever_header_a_client_writes(self, resource: Resource) -> None:
        leaf = resource.bench.authority.client()
        token = await resource.token(leaf)
        own = ("-H", "X-Token-Demand: audience=https://orders.shop.svc&possession=optional")
        for headers in (own, (*own, *own)):
            assert (await resource.get(token, leaf, *headers, path="/admin/1")).status == 403

    async def test_a_route_without_one_lets_nobody_through(self, resource: Resource) -> None:
        leaf = resource.bench.authority.client()
        own = ("-H", "X-Token-Demand: audience=https://orders.shop.svc")
        for headers in ((), own):
            reply = await resource.get(await resource.token(leaf), leaf, *headers, path="/forgotten/1")
            assert (reply.status, resource.bench.audit[-1]["reason"]) == (400, "malformed_demand")


class TestDemandOfARoute:
    """Over gRPC, by what docs/envoy.md says."""

    @pytest.fixture
    async def resource(self, envoy: Path, tmp_path: Path) -> AsyncIterator[Resource]:
        changes = {
            "- match: {prefix: /}\n                          route: {cluster: orders}\n": indent(
                block("ExtAuthzPerRoute"), " " * 24
            ).lstrip(),
            "include_peer_certificate: true": "{}include_peer_certificate: true".format(
                "".join(f"{option}: true\n{' ' * 22}" for option in ("encode_raw_headers", "failure_mode_allow"))
            ),
        }
        async with running_resource(envoy, tmp_path, OVER_GRPC, changes) as value:
            yield value

    async def test_it_adds_to_that_of_the_host(self, resource: Resource) -> None:
        await demands_differ(resource)

    async def test_no_refusal_is_a_failure_that_envoy_is_told_to_let_pass(self, resource: Resource) -> None:
        bench, leaf = resource.bench, resource.bench.authority.client()
        token, good = await resource.token(leaf), bench.issuer.directory.server_certificate
        assert good
        bench.serve_as(bench.authority.server(dns("somewhere.else")))
        assert (await resource.get(token, None)).status == 200, "a failure"
        bench.issuer.directory.put_server_certificate(good)
        assert (await resource.get(token, None)).status == 401
        bench.put(registration("gateway", "edge", suspended=True))
        assert (await resource.get(token, leaf)).status == 400
