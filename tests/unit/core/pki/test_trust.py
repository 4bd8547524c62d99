"""Which leaf leads to which authority: by signatures, never by names."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from builders import pki
from mintls.core.pki.certificate import load_pem_chain
from mintls.core.pki.dn import parse_dn
from mintls.core.pki.keys import PrivateKey
from mintls.core.pki.trust import Path, PathInvalid, PathProblem, TrustAnchors, render_bundle, validate_path

AUTHORITY = pki.authority()
IMPOSTOR = pki.authority()
SECOND = timedelta(seconds=1)


def _validate(
    leaf: pki.Leaf,
    anchors: TrustAnchors = AUTHORITY.anchors,
    now: datetime = pki.NOW,
    chain: Sequence[x509.Certificate] | None = None,
) -> Path:
    return validate_path(leaf.certificate, leaf.chain if chain is None else chain, anchors, now)


def _refused(
    leaf: pki.Leaf, reason: PathProblem, anchors: TrustAnchors = AUTHORITY.anchors, now: datetime = pki.NOW
) -> str:
    with pytest.raises(PathInvalid) as caught:
        _validate(leaf, anchors, now)
    assert caught.value.reason is reason
    return str(caught.value)


def test_a_path_leads_from_the_leaf_over_the_intermediate_to_the_root() -> None:
    leaf = AUTHORITY.client()
    path = _validate(leaf)
    assert path.chain == (leaf.certificate, AUTHORITY.intermediate, AUTHORITY.root)
    assert path.not_before == leaf.facts.not_before
    assert path.not_after == leaf.facts.not_after


def test_the_path_ends_when_its_first_certificate_ends() -> None:
    authority = pki.authority(root_not_after=pki.NOW + pki.HOUR, intermediate_not_after=pki.NOW + pki.HOUR)
    key = pki.ec_key()
    signer = authority.signer
    outlives = pki.raw(key.public_key(), signer.certificate, signer.key, not_after=pki.NOW + pki.DAY)
    path = _validate(pki.Leaf(outlives, key, signer.chain), authority.anchors)
    assert path.not_after == pki.NOW + pki.HOUR
    assert path.not_before == pki.NOW - 5 * pki.MINUTE


@pytest.mark.parametrize(
    "key",
    [pki.ec_key(ec.SECP384R1()), pki.ec_key(ec.SECP521R1()), pki.rsa_key(), pki.ed25519_key()],
    ids=["P-384", "P-521", "RSA", "Ed25519"],
)
def test_leaves_of_every_supported_key_are_trusted(key: PrivateKey) -> None:
    assert len(_validate(AUTHORITY.client(key=key)).chain) == 3


def test_authorities_of_every_supported_key_are_trusted() -> None:
    for root_key, key in ((pki.rsa_key(), pki.rsa_key()), (pki.ec_key(ec.SECP384R1()), pki.ec_key(ec.SECP521R1()))):
        authority = pki.authority(root_key=root_key, intermediate_key=key)
        assert len(_validate(authority.client(), authority.anchors).chain) == 3


def test_a_client_may_be_named_by_its_subject_alone() -> None:
    assert len(_validate(AUTHORITY.client((), subject="CN=billing,O=shop")).chain) == 3


@pytest.mark.parametrize("usages", [None, (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)])
def test_a_leaf_of_unlimited_or_several_usages_is_trusted(usages: list[x509.ObjectIdentifier] | None) -> None:
    assert len(_validate(pki.raw_client(AUTHORITY, usages=usages)).chain) == 3


def test_presented_certificates_may_come_in_any_order_with_others_between() -> None:
    leaf = AUTHORITY.client()
    presented = [IMPOSTOR.intermediate, AUTHORITY.root, AUTHORITY.intermediate, IMPOSTOR.root]
    assert _validate(leaf, chain=presented).chain == (leaf.certificate, AUTHORITY.intermediate, AUTHORITY.root)


def test_an_intermediate_that_the_client_did_not_send_is_taken_from_the_known_ones() -> None:
    leaf = AUTHORITY.client()
    with pytest.raises(PathInvalid):
        _validate(leaf, chain=())
    known = TrustAnchors((AUTHORITY.root,), (AUTHORITY.intermediate,))
    assert len(_validate(leaf, known, chain=()).chain) == 3


def test_a_known_intermediate_is_not_trusted_as_such() -> None:
    leaf = IMPOSTOR.client()
    _refused(leaf, PathProblem.UNTRUSTED, TrustAnchors((AUTHORITY.root,), (IMPOSTOR.intermediate, IMPOSTOR.root)))


def test_an_intermediate_may_be_an_anchor() -> None:
    leaf = AUTHORITY.client()
    assert _validate(leaf, TrustAnchors((AUTHORITY.intermediate,))).chain == (leaf.certificate, AUTHORITY.intermediate)


def test_an_authority_with_the_same_names_is_told_apart_by_its_signatures() -> None:
    assert AUTHORITY.root.subject == IMPOSTOR.root.subject
    assert AUTHORITY.intermediate.subject == IMPOSTOR.intermediate.subject
    _refused(IMPOSTOR.client(), PathProblem.UNTRUSTED)


def test_an_impostor_that_sends_the_real_intermediate_is_refused() -> None:
    leaf = IMPOSTOR.client()
    mixed = pki.Leaf(leaf.certificate, leaf.key, (AUTHORITY.intermediate, AUTHORITY.root))
    _refused(mixed, PathProblem.UNTRUSTED)


def test_an_impostor_that_copies_names_and_key_identifiers_is_refused() -> None:
    _refused(pki.forged_client(AUTHORITY), PathProblem.UNTRUSTED)


def test_two_roots_of_one_name_are_both_trusted_each_for_its_own() -> None:
    both = TrustAnchors((IMPOSTOR.root, AUTHORITY.root))
    for authority in (AUTHORITY, IMPOSTOR):
        assert _validate(authority.client(), both).chain[1:] == (authority.intermediate, authority.root)


def test_a_renewed_intermediate_of_the_same_name_is_found_by_its_signature() -> None:
    renewed = pki.authority(root_key=AUTHORITY.root_key)
    anchors = TrustAnchors((AUTHORITY.root,), (AUTHORITY.intermediate, renewed.intermediate))
    for authority in (AUTHORITY, renewed):
        assert _validate(authority.client(), anchors, chain=()).chain[1] == authority.intermediate


def test_nothing_is_trusted_without_anchors() -> None:
    assert "no trust anchors" in _refused(AUTHORITY.client(), PathProblem.UNTRUSTED, TrustAnchors(()))


def test_a_self_signed_certificate_is_not_trusted() -> None:
    _refused(pki.self_signed_client(), PathProblem.UNTRUSTED)


def test_a_leaf_signed_by_a_leaf_is_not_trusted() -> None:
    parent = AUTHORITY.client((), subject="CN=parent")
    key = pki.ec_key()
    child = pki.raw(key.public_key(), parent.certificate, parent.key)
    _refused(pki.Leaf(child, key, (parent.certificate, *parent.chain)), PathProblem.UNTRUSTED)


def test_a_changed_octet_is_not_trusted() -> None:
    leaf = AUTHORITY.client()
    forged = x509.load_der_x509_certificate(leaf.der.replace(b"client/billing", b"client/burning"))
    _refused(pki.Leaf(forged, leaf.key, leaf.chain), PathProblem.UNTRUSTED)


def test_a_second_intermediate_is_one_too_many_for_the_path_length() -> None:
    key = pki.ec_key()
    signer = AUTHORITY.signer
    below = pki.raw(
        key.public_key(), signer.certificate, signer.key, subject=parse_dn("CN=b"), san=(), usages=None, ca=True
    )
    leaf_key = pki.ec_key()
    leaf = pki.raw(leaf_key.public_key(), below, key)
    _refused(pki.Leaf(leaf, leaf_key, (below, signer.certificate)), PathProblem.UNTRUSTED)


def test_an_unknown_critical_extension_is_not_trusted() -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.7"), b"\x05\x00")
    _refused(pki.raw_client(AUTHORITY, extensions=[(unknown, True)]), PathProblem.UNTRUSTED)
    assert len(_validate(pki.raw_client(AUTHORITY, extensions=[(unknown, False)])).chain) == 3


def test_a_name_outside_of_the_constraints_is_not_trusted() -> None:
    limited = pki.authority(permitted_dns=("svc",))
    inside = pki.raw_client(limited, san=[x509.DNSName("a.shop.svc")])
    outside = pki.raw_client(limited, san=[x509.DNSName("a.example.com")])
    assert len(_validate(inside, limited.anchors).chain) == 3
    _refused(outside, PathProblem.UNTRUSTED, limited.anchors)


@pytest.mark.parametrize("usage", [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE])
def test_a_leaf_for_another_usage_is_refused(usage: x509.ObjectIdentifier) -> None:
    # "any" does not pass OpenSSL's sslclient purpose either.
    _refused(pki.raw_client(AUTHORITY, usages=[usage]), PathProblem.WRONG_USAGE)


def test_a_servers_leaf_is_refused() -> None:
    _refused(AUTHORITY.server(), PathProblem.WRONG_USAGE)


def test_a_ca_is_no_client() -> None:
    intermediate = pki.Leaf(AUTHORITY.intermediate, AUTHORITY.signer.key)
    _refused(intermediate, PathProblem.NOT_A_LEAF)
    _refused(pki.Leaf(AUTHORITY.root, AUTHORITY.root_key), PathProblem.NOT_A_LEAF)


def test_a_leaf_holds_from_its_first_to_its_last_second() -> None:
    leaf = AUTHORITY.client()
    begin, end = leaf.facts.not_before, leaf.facts.not_after
    assert _validate(leaf, now=begin).not_before == begin
    assert _validate(leaf, now=end).not_after == end
    _refused(leaf, PathProblem.NOT_YET_VALID, now=begin - SECOND)
    _refused(leaf, PathProblem.EXPIRED, now=end + SECOND)
    _refused(leaf, PathProblem.EXPIRED, now=end + timedelta(microseconds=1))


@pytest.mark.parametrize("ends", ["root", "intermediate"])
def test_a_leaf_below_an_expired_ca_has_expired(ends: str) -> None:
    hour = pki.NOW + pki.HOUR
    authority = (
        pki.authority(root_not_after=hour, intermediate_not_after=hour)
        if ends == "root"
        else pki.authority(intermediate_not_after=hour)
    )
    leaf = pki.raw_client(authority)
    assert len(_validate(leaf, authority.anchors).chain) == 3
    assert "CA above" in _refused(leaf, PathProblem.EXPIRED, authority.anchors, hour + SECOND)


def test_a_malformed_extension_is_not_trusted() -> None:
    broken = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"\x30\x03\x87\x01\x00")
    told = _refused(pki.raw_client(AUTHORITY, san=(), extensions=[(broken, True)]), PathProblem.UNTRUSTED)
    assert "cannot be read" in told


def test_anchors_are_equal_if_their_certificates_are() -> None:
    one = TrustAnchors((AUTHORITY.root, IMPOSTOR.root), (AUTHORITY.intermediate,))
    again = TrustAnchors((IMPOSTOR.root, AUTHORITY.root), (AUTHORITY.intermediate,))
    assert one == again
    assert hash(one) == hash(again)
    assert one != TrustAnchors((AUTHORITY.root, IMPOSTOR.root))
    assert one != TrustAnchors((AUTHORITY.root, AUTHORITY.intermediate), (IMPOSTOR.root,))


def test_a_bundle_is_the_same_whatever_the_order_and_the_repetitions() -> None:
    roots = [AUTHORITY.root, IMPOSTOR.root, pki.authority("other").root]
    bundle = render_bundle(roots)
    assert bundle == render_bundle([*reversed(roots), *roots])
    assert set(load_pem_chain(bundle.encode())) == set(roots)
    assert bundle.count("BEGIN CERTIFICATE") == 3
    assert bundle.endswith("-----END CERTIFICATE-----\n")
    assert render_bundle([]) == ""
