"""The trust bundle: made where it is needed, kept as it should be, taken away where it is not, and never another's."""

import base64
from dataclasses import replace
from typing import Any

import pytest

from builders.objects import authority_view, ca_object, default_authority
from builders.pki import authority, self_signed_client
from mintls.api.v1alpha1.selector import LabelSelector
from mintls.core.pki.certificate import InvalidCertificate, encode_pem
from mintls.reconcile.distribution import Distribution, distribution_of
from mintls.reconcile.trustbundle import Bundle, Found, Observed, bundle_for, decide, is_selected, manifest

OURS = {"app.kubernetes.io/managed-by": "mintls", "mintls.dev/component": "trust-bundle"}
BUNDLE = Bundle((default_authority().root,))
NOTHING = Bundle()
ROOTS = BUNDLE.pem
GOOD = Found(OURS, {"ca.crt": ROOTS})
OLD = Found(OURS, {"ca.crt": "old roots"})
EMPTY = Found(OURS, {})
WITH_MORE = Found(OURS | {"team": "a"}, {"ca.crt": ROOTS, "notes": "x"})
FOREIGN = Found({"app.kubernetes.io/managed-by": "helm"}, {"ca.crt": ROOTS})
UNLABELLED = Found({}, {})


@pytest.mark.parametrize(
    ("needed", "found", "bundle", "decision"),
    [
        (True, None, BUNDLE, "create"),
        (True, GOOD, BUNDLE, "keep"),
        (True, WITH_MORE, BUNDLE, "keep"),
        (True, OLD, BUNDLE, "apply"),
        (True, EMPTY, BUNDLE, "apply"),
        (True, FOREIGN, BUNDLE, "foreign"),
        (True, UNLABELLED, BUNDLE, "foreign"),
        # Without a root there is nothing to say; and what is there is not taken away because of it.
        (True, None, NOTHING, "keep"),
        (True, OLD, NOTHING, "keep"),
        (False, None, BUNDLE, "keep"),
        (False, GOOD, BUNDLE, "delete"),
        (False, OLD, NOTHING, "delete"),
        (False, FOREIGN, BUNDLE, "keep"),
        (False, UNLABELLED, NOTHING, "keep"),
    ],
)
def test_what_to_do(*, needed: bool, found: Found | None, bundle: Bundle, decision: str) -> None:
    assert decide(Observed("shop", needed, found, bundle)) == decision


def applied(bundle: Bundle) -> Found:
    body: dict[str, Any] = manifest("shop", bundle)
    binary = {name: base64.b64decode(value) for name, value in body.get("binaryData", {}).items()}
    return Found(body["metadata"]["labels"], body["data"], binary)


def kept(found: Found, bundle: Bundle) -> bool:
    return decide(Observed("shop", needed=True, found=found, bundle=bundle)) == "keep"


@pytest.mark.parametrize("keystores", [set(), {"JKS"}, {"PKCS12"}, {"JKS", "PKCS12"}])
def test_what_was_applied_is_kept(keystores: set[str]) -> None:
    bundle = Bundle(BUNDLE.certificates, frozenset(keystores))
    assert kept(applied(bundle), bundle)
    metadata: Any = manifest("shop", bundle)["metadata"]
    assert (metadata["namespace"], metadata["name"]) == ("shop", "mintls-trust-bundle")


@pytest.mark.parametrize("keystore", ["JKS", "PKCS12"])
def test_a_keystore_that_is_not_as_it_should_be_is_written_again(keystore: str) -> None:
    other = Bundle((authority("other").root,), frozenset({keystore}))
    wanted = replace(other, certificates=BUNDLE.certificates)
    found = applied(wanted)
    (file,) = found.binary
    assert not kept(replace(found, binary=applied(other).binary), wanted), "other certificates"
    assert not kept(replace(found, binary={file: found.binary[file][:-1] + b"x"}), wanted), "damaged"
    assert not kept(replace(found, binary={}), wanted), "missing"
    assert not kept(found, BUNDLE), "not wanted any more"


class TestWhoIsSelected:
    VIEW = authority_view(distribution=Distribution(LabelSelector(match_labels={"team": "blue"})))

    def test_a_namespace_by_its_labels(self) -> None:
        assert is_selected([self.VIEW], {"team": "blue", "x": "y"})
        assert not is_selected([self.VIEW], {"team": "red"})
        assert not is_selected([self.VIEW], {})

    def test_nobody_without_a_selector_and_everybody_with_an_empty_one(self) -> None:
        assert not is_selected([authority_view()], {"team": "blue"})
        assert is_selected([authority_view(distribution=Distribution(LabelSelector()))], {})


class TestWhatItHolds:
    OTHER = authority("other")
    BLUE = authority_view(distribution=Distribution(LabelSelector(match_labels={"team": "blue"}), (OTHER.root,)))
    PLAIN = authority_view(OTHER, name="plain", distribution=Distribution(keystores=frozenset({"JKS"})))

    def test_in_a_selected_namespace_is_what_those_have_that_select_it(self) -> None:
        bundle = bundle_for([self.BLUE, self.PLAIN], {"team": "blue"}, in_use=False)
        assert set(bundle.certificates) == {default_authority().root, self.OTHER.root}
        assert bundle.keystores == frozenset()

    def test_in_a_namespace_in_use_is_everything_each_once(self) -> None:
        bundle = bundle_for([self.BLUE, self.PLAIN], {}, in_use=True)
        assert sorted(map(hash, bundle.certificates)) == sorted({hash(default_authority().root), hash(self.OTHER.root)})
        assert bundle.keystores == {"JKS"}


class TestAnAdditionalCertificate:
    def test_is_read(self) -> None:
        pem = encode_pem(default_authority().root).decode()
        spec = {"trustBundle": {"additionalCertificates": [pem], "keystores": ["JKS"]}}
        found = distribution_of(ca_object(spec=spec))
        assert (found.additional, found.keystores) == ((default_authority().root,), {"JKS"})

    @pytest.mark.parametrize(
        ("pem", "words"),
        [
            ("x", "this is not a certificate in PEM"),
            (encode_pem(self_signed_client().certificate).decode(), "is not a CA's certificate"),
            (encode_pem(default_authority().root, default_authority().root).decode(), "values to unpack"),
        ],
    )
    def test_that_is_none_is_refused_by_its_place(self, pem: str, words: str) -> None:
        good = encode_pem(default_authority().root).decode()
        item = ca_object(spec={"trustBundle": {"additionalCertificates": [good, pem]}})
        with pytest.raises(InvalidCertificate, match=r"^spec\.trustBundle\.additionalCertificates\[1\]: ") as caught:
            distribution_of(item)
        assert words in str(caught.value)
