"""A service account's token, which a real API server issues and reviews, for a token of a client (RFC 8693)."""

from pathlib import Path

import pytest

from builders.world import World
from integration.operator.test_token import claims, token, x5t_s256
from mintls.core.oauth.token_request import CLIENT_CREDENTIALS, TOKEN_EXCHANGE
from mintls.kube.paths import CLIENT_CERTIFICATES, OAUTH_CLIENTS

pytestmark = pytest.mark.cluster

JWT = "urn:ietf:params:oauth:token-type:jwt"


async def test_a_service_account_s_token_is_exchanged_and_reviewed_each_time(world: World, tmp_path: Path) -> None:
    kubectl = world.cluster.kubectl
    shop = await world.namespace()
    for name in ("till", "cellar"):
        kubectl("-n", shop, "create", "serviceaccount", name)
    review = f"review-{shop}"
    kubectl("create", "clusterrole", review, "--verb=create", "--resource=tokenreviews.authentication.k8s.io")
    kubectl(
        "create",
        "clusterrolebinding",
        review,
        f"--clusterrole={review}",
        "--serviceaccount=mintls-system:mintls-issuer",
    )
    await world.authority()
    await world.operator()
    await world.issuer(service_account_tokens=True)
    grants = [CLIENT_CREDENTIALS, TOKEN_EXCHANGE]
    await world.client(shop, scopes=["orders.read"], grantTypes=grants, serviceAccounts=[{"name": "till"}])
    await world.certificate(shop)
    await world.ready(OAUTH_CLIENTS, shop, "billing")
    await world.ready(CLIENT_CERTIFICATES, shop, "billing")
    files = await world.secret(shop)

    def issued(account: str, audience: str) -> tuple[str, ...]:
        value = kubectl("-n", shop, "create", "token", account, "--audience", audience, "--duration=10m").strip()
        return ("-d", f"subject_token={value}", "-d", f"subject_token_type={JWT}")

    async def exchange(account: str, audience: str = world.installation.issuer_url) -> tuple[int, dict[str, object]]:
        return await token(tmp_path, files, *issued(account, audience), grant=TOKEN_EXCHANGE)

    status, answer = await exchange("till")
    assert status == 200, answer
    found = claims(answer)
    assert found["sub"] == f"system:serviceaccount:{shop}:till"
    assert found["act"] == {"sub": f"{shop}:billing"}
    assert found["cnf"] == {"x5t#S256": x5t_s256(files["tls.crt"])}
    assert (await exchange("cellar"))[0] == 400, "the client does not name it"
    assert (await exchange("till", "https://kubernetes.default.svc"))[0] == 400, "it is for the API server"
    kubectl("delete", f"clusterrolebinding/{review}", f"clusterrole/{review}")
    assert (await exchange("till"))[0] == 503, "the issuer may not have it reviewed"
