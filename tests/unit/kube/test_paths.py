import pytest

from mintls.kube.paths import (
    CERTIFICATE_AUTHORITIES,
    LEASES,
    NAMESPACES,
    OAUTH_CLIENTS,
    SECRETS,
    Target,
    parse_path,
)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (SECRETS.collection(), "/api/v1/secrets"),
        (SECRETS.collection("shop"), "/api/v1/namespaces/shop/secrets"),
        (SECRETS.item("shop", "billing-mtls"), "/api/v1/namespaces/shop/secrets/billing-mtls"),
        (NAMESPACES.item(None, "shop"), "/api/v1/namespaces/shop"),
        (OAUTH_CLIENTS.collection(), "/apis/mintls.dev/v1alpha1/oauthclients"),
        (
            OAUTH_CLIENTS.status("shop", "billing"),
            "/apis/mintls.dev/v1alpha1/namespaces/shop/oauthclients/billing/status",
        ),
        (
            CERTIFICATE_AUTHORITIES.item(None, "default"),
            "/apis/mintls.dev/v1alpha1/certificateauthorities/default",
        ),
        (LEASES.item("a", "b"), "/apis/coordination.k8s.io/v1/namespaces/a/leases/b"),
        (SECRETS.item("shop", "system:node"), "/api/v1/namespaces/shop/secrets/system:node"),
    ],
)
def test_paths_are_those_of_the_api(path: str, expected: str) -> None:
    assert path == expected


@pytest.mark.parametrize("name", ["", ".", "..", "../kube-system/secrets/admin", "a/b", "a%2fb"])
def test_a_name_cannot_leave_its_place_in_the_path(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be part of a path"):
        SECRETS.item("shop", name)
    with pytest.raises(ValueError, match="cannot be part of a path"):
        SECRETS.collection(name)


@pytest.mark.parametrize("name", ["a?watch=true", "a#b", "a b", "ä"])
def test_what_means_something_in_a_url_is_escaped(name: str) -> None:
    path = SECRETS.item("shop", name)
    assert path.isascii()
    assert not set("?# ") & set(path)


def test_a_namespace_belongs_to_namespaced_resources_only() -> None:
    with pytest.raises(ValueError, match="cluster-scoped"):
        CERTIFICATE_AUTHORITIES.item("shop", "default")
    with pytest.raises(ValueError, match="namespace missing"):
        SECRETS.item(None, "billing")


@pytest.mark.parametrize(
    ("path", "target", "words"),
    [
        ("/api/v1/namespaces/shop/secrets/x", Target("", "v1", "shop", "secrets", "x"), "secrets shop/x"),
        ("/api/v1/namespaces/shop/secrets", Target("", "v1", "shop", "secrets"), "secrets in namespace shop"),
        ("/api/v1/secrets", Target("", "v1", "", "secrets"), "secrets"),
        ("/api/v1/namespaces/shop", Target("", "v1", "", "namespaces", "shop"), "namespaces shop"),
        (
            "/api/v1/namespaces/shop/status",
            Target("", "v1", "", "namespaces", "shop", "status"),
            "namespaces/status shop",
        ),
        (
            "/apis/mintls.dev/v1alpha1/namespaces/shop/oauthclients/billing/status",
            Target("mintls.dev", "v1alpha1", "shop", "oauthclients", "billing", "status"),
            "oauthclients.mintls.dev/status shop/billing",
        ),
        (
            "/apis/mintls.dev/v1alpha1/certificateauthorities/default",
            Target("mintls.dev", "v1alpha1", "", "certificateauthorities", "default"),
            "certificateauthorities.mintls.dev default",
        ),
        ("/version", Target(plural="/version"), "/version"),
    ],
)
def test_a_path_tells_what_it_is_about(path: str, target: Target, words: str) -> None:
    assert parse_path(path) == target
    assert str(parse_path(path)) == words
