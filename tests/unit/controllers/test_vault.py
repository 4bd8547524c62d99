"""What may come back from Vault's address, and what of it a person is told."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from builders import pki
from builders.https_server import Server, serving
from mintls.api.v1alpha1.vault import Vault as VaultSpec
from mintls.controllers.certificatesource import SourceError, SourceUnavailable
from mintls.controllers.vault import Denied, Vault
from mintls.reconcile.reasons import Reason
from unit.controllers.test_stepca import CA, QUESTION

TOKEN = "hvs.secret"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(CA, tmp_path) as made:
        yield made


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Vault]:
    auth = {"tokenSecretRef": {"name": "vault"}}
    body = {"url": server.url, "mount": "team/pki", "role": "mintls", "auth": auth}
    one = Vault(msgspec.convert(body, VaultSpec), (CA.root,))
    yield one
    await one.close()


async def failure(client: Vault) -> SourceError:
    with pytest.raises(SourceError) as caught:
        await client.sign(QUESTION, TOKEN)
    return caught.value


async def test_all_is_asked_for_by_name_and_the_chain_is_taken(server: Server, client: Vault) -> None:
    server.says({"data": {"certificate": "a", "issuing_ca": "b", "ca_chain": ["b", "c"]}})
    assert await client.sign(QUESTION, TOKEN) == b"a\nb\nc"
    [asked] = server.asked
    assert server.paths == ["/v1/team/pki/sign/mintls"]
    assert asked["common_name"] == "mintls:ClientCertificate:1"
    assert (asked["uri_sans"], asked["alt_names"], asked["ip_sans"]) == ([pki.CLIENT_ID], "", [])
    assert (asked["ttl"], asked["exclude_cn_from_sans"]) == ("3600s", True)
    server.says({"data": {"certificate": "a", "issuing_ca": "b", "ca_chain": None}})
    assert await client.sign(QUESTION, TOKEN) == b"a\nb"


@pytest.mark.parametrize(
    ("status", "kind", "told"),
    [
        (503, SourceUnavailable, "cannot at present (HTTP 503): Vault is sealed"),
        (500, SourceUnavailable, "cannot at present (HTTP 500): Vault is sealed"),
        (429, SourceUnavailable, "cannot at present (HTTP 429): Vault is sealed"),
        (400, SourceError, "refuses (HTTP 400): Vault is sealed"),
        (403, Denied, "refuses (HTTP 403): Vault is sealed"),
        (307, SourceError, "refuses (HTTP 307): Vault is sealed"),
    ],
)
async def test_a_refusal_is_told_in_its_words(
    server: Server, client: Vault, status: int, kind: type[SourceError], told: str
) -> None:
    server.says({"errors": ["Vault is sealed"]}, status)
    error = await failure(client)
    assert type(error) is kind
    assert str(error).endswith(told)


async def test_a_token_that_is_repeated_is_not_told(server: Server, client: Vault) -> None:
    server.says({"errors": [f"bad token {TOKEN}"]}, 403)
    assert str(await failure(client)).endswith("bad token ...")


@pytest.mark.parametrize("body", ["", "<html>", "[]", {"data": {"certificate": 7}}, {"data": {}}, {}])
async def test_what_is_no_answer_of_vault_is_told(server: Server, client: Vault, body: object) -> None:
    server.says(body)
    assert (await failure(client)).violation.reason == Reason.EXTERNAL_ANSWER_WRONG


@pytest.mark.parametrize("capabilities", [["update"], ["create", "update"], ["root"]])
async def test_a_token_that_may_have_requests_signed_is_enough(
    server: Server, client: Vault, capabilities: list[str]
) -> None:
    server.says({"data": {"capabilities": capabilities}})
    await client.see_rights(TOKEN)
    assert server.asked == [{"path": "team/pki/sign/mintls"}]


@pytest.mark.parametrize("data", [{"capabilities": ["deny"]}, {"capabilities": ["read"]}, {}])
async def test_one_that_may_not_is_told(server: Server, client: Vault, data: dict[str, Any]) -> None:
    server.says({"data": data})
    with pytest.raises(SourceError, match='give it the capability "update" on team/pki/sign/mintls'):
        await client.see_rights(TOKEN)


async def test_a_login_shows_a_token_and_has_one(server: Server, client: Vault) -> None:
    server.says({"auth": {"client_token": TOKEN, "lease_duration": 3600}})
    assert await client.log_in("kubernetes", "mintls", "a.jwt") == (TOKEN, 3600)
    assert server.asked == [{"role": "mintls", "jwt": "a.jwt"}]
    server.says({"errors": ["no a.jwt here"]}, 403)
    with pytest.raises(SourceError, match=r"no [.]{3} here"):
        await client.log_in("kubernetes", "mintls", "a.jwt")
