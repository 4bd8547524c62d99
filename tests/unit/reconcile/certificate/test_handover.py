"""A Secret of somebody else is taken only when he says so on it, and only if it can become ours."""

from dataclasses import replace

import pytest

from builders.objects import certificate, observed, secret_view
from builders.pki import authority
from mintls.core.pki.keys import key_fits, load_private_key
from mintls.reconcile.certificate.decide import decide, must_read
from mintls.reconcile.certificate.values import Blocked, Issue, Observed
from mintls.reconcile.credential import HAND_OVER_TO, Contents
from mintls.reconcile.reasons import Reason

HIS_OWN = Contents({"tls.crt": b"his", "tls.key": b"his"})


def handed_over(to: str = "billing", owner: str = "", contents: Contents = HIS_OWN) -> Observed:
    view = secret_view(owner=owner, labels={}, annotations={HAND_OVER_TO: to})
    seen = observed(certificate(), secret=view)
    assert must_read(seen)
    return replace(seen, contents=contents)


def test_what_was_handed_over_gets_a_certificate_in_the_very_secret() -> None:
    decision = decide(handed_over())
    assert isinstance(decision, Issue)
    assert decision.secret == secret_view(owner="", labels={}, annotations={HAND_OVER_TO: "billing"})
    assert decision.kept_key is None


def test_a_key_that_came_with_it_is_not_kept() -> None:
    """Also where keys are kept: a sound pair of another CA, with a key of the wanted kind."""
    leaf = authority("default").client()
    his = Contents({"tls.crt": leaf.tls_crt, "tls.key": leaf.tls_key})
    never = certificate(spec={"privateKey": {"rotationPolicy": "Never"}})
    decision = decide(replace(handed_over(contents=his), certificate=never))
    assert isinstance(decision, Issue)
    assert key_fits(load_private_key(leaf.tls_key), decision.wanted.key)
    assert decision.kept_key is None


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        (handed_over(to="other"), "hand it over by the annotation mintls.dev/hand-over-to=billing"),
        (handed_over(to=""), "hand it over by the annotation"),
        (handed_over(owner="another"), "another object controls it"),
        (handed_over(contents=replace(HIS_OWN, type="Opaque")), 'of type "Opaque"'),
        (handed_over(contents=replace(HIS_OWN, immutable=True)), "it is immutable"),
    ],
    ids=["to another", "to nobody", "controlled", "of another type", "immutable"],
)
def test_otherwise_it_is_left_as_it_is(seen: Observed, words: str) -> None:
    decision = decide(seen)
    assert isinstance(decision, Blocked)
    assert decision.violation.reason == Reason.SECRET_NOT_OWNED
    assert words in decision.violation.message
