"""A ClientCertificate that does not get on: what is kept, what is said, and when it is tried again."""

from dataclasses import replace
from datetime import timedelta

from builders.credentials import Life, end_of, half_time, issued, life, renewal_of
from builders.objects import after, authority_view
from builders.pki import NOW
from mintls.reconcile.certificate.decide import decide
from mintls.reconcile.certificate.values import Blocked, Issue, Postponed
from mintls.reconcile.credential import Violation
from mintls.reconcile.reasons import Reason

REFUSED = Violation(Reason.WRITE_FAILED, "the Secret was not written: the API server is full")


class TestAnAuthorityThatCannotSign:
    def blocked(self) -> Life:
        made = issued()
        made.view = replace(made.view, problem="its root key is lost")
        return made

    def test_changes_nothing_for_a_certificate_that_is_good(self) -> None:
        made = self.blocked()
        made.look()
        assert made.ready()
        assert made.status_writes == 1

    def test_leaves_ready_true_while_a_renewal_waits_and_says_why(self) -> None:
        made = self.blocked()
        made.now = renewal_of(made)
        conclusion = made.look()
        assert conclusion is not None
        assert conclusion.look_again == half_time(made)
        issuing = made.condition("Issuing")
        assert made.ready()
        assert issuing is not None
        assert issuing.reason == Reason.AUTHORITY_NOT_READY
        assert "its root key is lost" in issuing.message
        assert made.condition("Stalled") is None

    def test_is_announced_once(self) -> None:
        made = self.blocked()
        made.now = renewal_of(made)
        for _ in range(3):
            made.look()
        assert [each.reason for each in made.said] == [Reason.ISSUED, Reason.AUTHORITY_NOT_READY]
        assert made.status_writes == 2

    def test_is_a_warning_once_when_half_of_the_time_for_the_renewal_is_over(self) -> None:
        made = self.blocked()
        made.now = renewal_of(made)
        made.look()
        assert not made.said[-1].warning, "there is time"
        made.now = half_time(made)
        for _ in range(3):
            conclusion = made.look()
        assert [each.reason for each in made.said] == [Reason.ISSUED, *2 * [Reason.AUTHORITY_NOT_READY]]
        assert made.said[-1].warning
        assert made.said[-1].message.startswith(f"the certificate ends at {end_of(made):%Y-%m-%dT%H:%M:%SZ}: ")
        assert made.ready(), "until then"
        assert conclusion is not None
        assert conclusion.look_again == end_of(made)
        assert made.status_writes == 3

    def test_ends_ready_at_the_end_of_the_certificate(self) -> None:
        made = self.blocked()
        made.now = renewal_of(made)
        made.look()
        made.now = end_of(made)
        made.look()
        ready = made.condition("Ready")
        assert ready is not None
        assert (ready.status, ready.reason) == ("False", Reason.AUTHORITY_NOT_READY)
        assert ready.last_transition_time == made.now
        assert "the certificate ended" in ready.message

    def test_is_forgotten_when_it_signs_again(self) -> None:
        made = self.blocked()
        made.now = renewal_of(made)
        made.look()
        made.view = authority_view()
        made.settle()
        assert made.ready()
        assert made.condition("Issuing") is None
        assert made.status.revision == 2

    def test_blocks_a_new_certificate(self) -> None:
        made = life(view=authority_view(problem="its root key is lost"))
        decision = decide(made.observe())
        assert isinstance(decision, Blocked)
        assert not decision.stalled
        assert "the Secret does not exist; CertificateAuthority" in decision.violation.message


class TestAFailedWrite:
    def failing(self) -> Life:
        return life(refused=REFUSED)

    def test_is_said_counted_and_tried_again(self) -> None:
        made = self.failing()
        conclusion = made.look()
        assert conclusion is not None
        assert not made.ready()
        assert made.status.failed_attempts == 1
        assert made.status.last_failure_time == NOW
        assert made.status.next_attempt_time == conclusion.look_again
        assert NOW < conclusion.look_again <= after(seconds=2)  # type: ignore[operator] # not None
        assert made.condition("Reconciling") is not None
        assert made.said[-1].warning
        assert made.said[-1].message == REFUSED.message

    def test_of_a_renewal_keeps_the_old_certificate_and_warns_only_when_it_ends_soon(self) -> None:
        made = issued()
        before = made.secret.data
        made.refused = REFUSED
        made.now = renewal_of(made)
        while made.now < end_of(made):
            made.look()
            assert made.ready()
            assert made.secret.data == before
            made.now = made.status.next_attempt_time or end_of(made)
        assert [each.warning for each in made.said] == [False, False, True], "issued, waits, ends soon"
        assert made.status.failed_attempts > 20
        made.look()
        assert not made.ready()
        assert made.said[-1].warning

    def test_for_an_immutable_secret_is_tried_again_as_soon_as_that_is_deleted(self) -> None:
        made = issued()
        made.refused = Violation(Reason.SECRET_IMMUTABLE, "it is immutable")
        made.now = renewal_of(made)
        made.look()
        assert isinstance(decide(made.observe()), Postponed)
        made.refused = None
        made.secret.delete()
        made.settle()
        assert made.ready()
        assert made.status.revision == 2

    def test_waits_longer_each_time_up_to_ten_minutes(self) -> None:
        made = self.failing()
        waits = []
        for _ in range(14):
            made.look()
            assert made.status.next_attempt_time is not None
            waits.append(made.status.next_attempt_time - made.now)
            made.now = made.status.next_attempt_time
        assert waits == sorted(waits)
        assert timedelta(minutes=7) < waits[-1] <= timedelta(minutes=10, seconds=1)
        assert len(made.said) == 1, "the same failure is announced once"

    def test_is_not_tried_again_before_its_time(self) -> None:
        made = self.failing()
        made.look()
        assert isinstance(decide(made.observe()), Postponed)
        made.look()
        assert (made.status.failed_attempts, made.status_writes) == (1, 1)

    def test_is_tried_at_once_when_the_user_changes_the_spec(self) -> None:
        made = self.failing()
        made.look()
        made.edit_spec(duration="12h")
        assert isinstance(decide(made.observe()), Issue)

    def test_is_tried_at_once_when_the_clock_was_set_back(self) -> None:
        """A failure that was noted by a clock far ahead must not hold the object for as long."""
        made = self.failing()
        made.now = after(days=400)
        made.look()
        made.now = NOW
        assert isinstance(decide(made.observe()), Issue)

    def test_is_forgotten_with_the_first_success(self) -> None:
        made = self.failing()
        made.look()
        made.refused = None
        assert made.status.next_attempt_time is not None
        made.now = made.status.next_attempt_time
        made.settle()
        status = made.status
        assert made.ready()
        assert (status.failed_attempts, status.last_failure_time, status.next_attempt_time) == (0, None, None)
        assert [condition.type for condition in status.conditions] == ["Ready"]

    def test_is_forgotten_when_the_secret_turns_out_to_be_good(self) -> None:
        """The write's answer was lost, and the write was not."""
        made = self.failing()
        made.look(killed=True)
        made.refused = None
        made.look(killed=True)
        made.refused = REFUSED
        made.look()
        assert made.ready()
        assert (made.status.failed_attempts, made.status.revision) == (0, 1)

    def test_of_a_renewal_leaves_ready_true_and_flips_it_at_the_end(self) -> None:
        made = issued()
        made.refused = REFUSED
        made.now = renewal_of(made)
        while made.now < end_of(made):
            conclusion = made.look()
            assert made.ready(), made.now
            assert made.condition("Issuing") is not None
            assert conclusion is not None
            assert conclusion.look_again is not None
            assert made.now < conclusion.look_again <= end_of(made)
            made.now = conclusion.look_again
        made.look()
        assert not made.ready(), "an expired certificate is not ready, whenever the next attempt is due"

    def test_of_a_renewal_is_looked_at_again_at_the_end_also_by_another_process(self) -> None:
        made = issued()
        made.refused = REFUSED
        made.now = end_of(made) - timedelta(seconds=1)
        for _ in range(3):
            made.look()
            made.now = end_of(made) - timedelta(seconds=1)
        made.restart()
        conclusion = made.look()
        assert conclusion is not None
        assert conclusion.look_again is not None
        assert conclusion.look_again <= end_of(made)

    def test_of_a_renewal_does_not_hide_that_the_secret_is_gone(self) -> None:
        made = issued()
        made.refused = REFUSED
        made.now = renewal_of(made)
        for _ in range(9):
            made.look()
            assert made.status.next_attempt_time is not None
            made.now = made.status.next_attempt_time
        made.look()
        made.secret.delete()
        made.look()
        assert not made.ready()

    def test_does_not_hide_what_is_in_the_way_now(self) -> None:
        """Failed, then blocked, then free again: it goes on, and says no longer what is not so any more."""
        made = self.failing()
        for _ in range(9):
            made.look()
            assert made.status.next_attempt_time is not None
            made.now = made.status.next_attempt_time
        made.look()
        made.changes["registration"] = None
        made.look()
        assert made.status.next_attempt_time is None, "nothing is tried while it is blocked"
        made.changes, made.refused = {}, None
        made.settle()
        assert made.ready()

    def test_of_a_second_writing_makes_it_not_ready(self) -> None:
        made = issued()
        made.refused = REFUSED
        made.secret.edit(**{"client-id": b"someone-else"})
        made.look()
        assert not made.ready()
