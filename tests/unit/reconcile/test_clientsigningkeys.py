"""Signing keys that clients ask for: there as long as somebody asks, and gone when their last token is dead."""

from dataclasses import replace
from datetime import datetime

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from builders.objects import after
from builders.pki import DAY, HOUR, NOW
from builders.registrations import registration
from mintls.core.oauth.client_signing_keys import NONE, ClientSigningKeys, key_for, sets_of_files
from mintls.core.oauth.signing_keys import SigningKey
from mintls.reconcile.clientsigningkeys import ROOM, Files, Plan, Wanted, plan, wanted, with_room
from mintls.reconcile.signingkeys import GRACE, LONGEST_TOKEN

ONE_KEY = ec.generate_private_key(ec.SECP256R1())
END = LONGEST_TOKEN + GRACE
OWN = wanted([registration(dedicated_key=True)], ["uid-shop-billing"], "ES256")
FILE, SHARED = "client-uid-shop-billing.json", "algorithm-PS256.json"


def key(kid: str, sign_from: datetime = NOW, retire_at: datetime | None = None, alg: str = "ES256") -> SigningKey:
    return SigningKey(kid, alg, ONE_KEY, NOW, sign_from, retire_at)


def carried_out(done: Plan) -> Files:
    made = {name: key(f"{name}-{begin}", begin, alg=alg) for name, (alg, begin) in done.make.items()}
    return {name: (*keys, *((made[name],) if name in made else ())) for name, keys in done.files.items()}


class TestWanted:
    def test_is_a_file_for_each_algorithm_but_the_operators_and_for_each_client_that_wants_its_own(self) -> None:
        clients = [
            registration(name="a", signing_algorithm="PS256"),
            registration(name="b", signing_algorithm="PS256"),
            registration(name="c", signing_algorithm="ES256"),
            registration(name="d", dedicated_key=True),
            registration(name="e", dedicated_key=True, signing_algorithm="EdDSA"),
        ]
        want = wanted(clients, ["uid-shop-a"], "ES256")
        assert want.files == {SHARED: "PS256", "client-uid-shop-d.json": "ES256", "client-uid-shop-e.json": "EdDSA"}
        assert want.clients == {"uid-shop-a"}

    @pytest.mark.parametrize(("algorithm", "most"), [("ES256", 720), ("PS256", 225)])
    def test_is_bounded_and_the_earliest_come_first(self, algorithm: str, most: int) -> None:
        clients = [
            registration(name=f"c{number}", dedicated_key=True, created=after(seconds=-number)) for number in range(800)
        ]
        found = with_room(clients, algorithm)
        assert len(found) == most
        assert next(iter(found)) == "uid-shop-c799"
        assert "uid-shop-c0" not in found

    def test_fits_into_a_secret(self) -> None:
        assert ROOM < 1024 * 1024


class TestAKeyOfAClient:
    def test_is_made_when_it_is_asked_for_and_signs_at_once(self) -> None:
        done = plan({}, OWN, NOW)
        assert (done.files, done.make) == ({FILE: ()}, {FILE: ("ES256", NOW)})
        files = carried_out(done)
        again = plan(files, OWN, NOW)
        assert (again.files, again.make, again.look_again) == (files, {}, after(days=29))

    def test_is_followed_as_the_issuers_own(self) -> None:
        files = {FILE: (key("a"),)}
        done = plan(files, OWN, after(days=29))
        assert done.make == {FILE: ("ES256", after(days=30))}
        assert done.files[FILE][0].retire_at == after(days=30) + END

    def test_ends_with_its_client(self) -> None:
        assert plan({FILE: (key("a"),)}, Wanted({}, frozenset()), NOW) == Plan({}, {}, None)

    def test_does_not_end_while_a_client_cannot_be_read(self) -> None:
        assert FILE in plan({FILE: (key("a"),)}, Wanted({}, frozenset({""})), NOW).files

    def test_that_is_not_wanted_any_more_verifies_until_its_last_token_is_dead(self) -> None:
        idle = Wanted({}, frozenset({"uid-shop-billing"}))
        done = plan({FILE: (key("a"),)}, idle, NOW)
        assert done == Plan({FILE: (key("a", retire_at=NOW + END),)}, {}, NOW + END)
        assert plan(done.files, idle, NOW + HOUR) == done
        assert plan(done.files, idle, NOW + END) == Plan({}, {}, None)

    def test_that_is_wanted_again_goes_on(self) -> None:
        done = plan({FILE: (key("a", retire_at=NOW + END),)}, OWN, NOW + HOUR)
        assert (done.files, done.make) == ({FILE: (key("a"),)}, {})


def test_keys_for_an_algorithm_that_no_client_asks_for_go_in_time() -> None:
    done = plan({SHARED: (key("a"),)}, Wanted({}, frozenset()), NOW)
    assert done.files[SHARED][0].retire_at == NOW + END


_TIMES = st.lists(st.tuples(st.integers(0, 40 * 24), st.booleans()), max_size=12)


@given(_TIMES)
def test_whoever_asks_can_always_sign_and_no_token_outlives_its_key(times: list[tuple[int, bool]]) -> None:
    """Over months in which a client now and then changes its mind."""
    client = registration(dedicated_key=True, access_token_lifetime=LONGEST_TOKEN)
    files: Files = {}
    now, issued = NOW, list[tuple[str, datetime]]()
    for hours, asks in times:
        now += hours * HOUR
        want = replace(OWN, files=OWN.files if asks else {})
        for _ in range(3):
            files = carried_out(plan(files, want, now))
        if asks:
            signer = key_for(client, (), sets_of_files(files), now)
            assert signer is not None
            issued.append((signer.kid, now + LONGEST_TOKEN))
        kids = {one.kid for one in files.get(FILE, ())}
        assert {kid for kid, end in issued if now < end} <= kids


class TestTheKeyFor:
    PS256 = key("ps", alg="PS256")
    OWN = key("own")

    def test_a_client_that_asks_for_nothing_is_the_issuers_own(self) -> None:
        asked = ClientSigningKeys({"PS256": (self.PS256,)}, {"uid-shop-billing": (key("dedicated"),)})
        assert key_for(registration(), (self.OWN,), asked, NOW) == self.OWN

    def test_an_algorithm_is_of_that_algorithm_or_none(self) -> None:
        client = registration(signing_algorithm="PS256")
        assert key_for(client, (self.OWN,), ClientSigningKeys({"PS256": (self.PS256,)}), NOW) == self.PS256
        assert key_for(client, (self.OWN,), NONE, NOW) is None
        assert key_for(client, (self.PS256,), NONE, NOW) == self.PS256, "the issuer's own does as well"

    def test_a_client_alone_is_its_own_or_none(self) -> None:
        client = registration(dedicated_key=True)
        dedicated = key("dedicated")
        assert key_for(client, (self.OWN,), ClientSigningKeys({}, {"uid-shop-billing": (dedicated,)}), NOW) == dedicated
        assert key_for(client, (self.OWN,), ClientSigningKeys({}, {"uid-of-another": (dedicated,)}), NOW) is None
        other = replace(client, signing_algorithm="PS256")
        assert key_for(other, (self.OWN,), ClientSigningKeys({}, {"uid-shop-billing": (dedicated,)}), NOW) is None

    def test_an_algorithm_whose_key_goes_is_another_one_that_stays(self) -> None:
        client = registration(signing_algorithm="PS256", access_token_lifetime=DAY)
        going, own = key("going", alg="PS256", retire_at=NOW + DAY), key("own", NOW - DAY, alg="PS256")
        assert key_for(client, (own,), ClientSigningKeys({"PS256": (going,)}), NOW) == own


def test_files_of_other_names_are_nobodys() -> None:
    assert sets_of_files({"algorithm-HS256.json": (key("a"),), "keys.json": (key("b"),), "client-": ()}) == NONE
