"""Steps and their checks, without a cluster: what would a demo that goes wrong say?"""

import io
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from demolib import checks, steps
from demolib.console import Console
from demolib.errors import NotReadyError, StepFailedError, ToolMissingError
from demolib.steps import Check, Result, Runner, Step, Unexpected
from demolib.tools import ensure_tools

_REFUSAL = '{"error":"invalid_client","error_description":"client authentication failed"}'


def _trail(reason: str) -> str:
    return json.dumps({"decision": "refused", "reason": reason})


def _result(output: str = "", *, status: int = 0, folder: Path = Path(), seconds: float = 0.5) -> Result:
    return Result(status, output, folder, seconds)


def _runner(folder: Path, stream: io.StringIO) -> Runner:
    return Runner(Console(stream), folder, {"PATH": "/usr/bin:/bin"})


def _fine(result: Result) -> str:
    return f"status {result.status}"


def _ticking(monkeypatch: pytest.MonkeyPatch, ticks: Iterator[int]) -> None:
    """A clock that goes on when it is looked at, however long a busy machine takes."""
    monkeypatch.setattr(steps, "time", SimpleNamespace(monotonic=lambda: float(next(ticks))))


def test_a_step_shows_the_command_its_output_and_what_came_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _ticking(monkeypatch, itertools.repeat(0))
    stream = io.StringIO()
    _runner(tmp_path, stream).run([Step("Say it.", "echo one\necho two >&2", _fine)])
    assert stream.getvalue().splitlines() == [
        "",
        "# Say it.",
        "$ echo one",
        "  echo two >&2",
        "  one",
        "  two",
        "ok      status 0 (0.0 s)",
    ]


def test_no_colour_codes_where_there_is_no_terminal(tmp_path: Path) -> None:
    stream = io.StringIO()
    _runner(tmp_path, stream).run([Step("Say it.", "true", _fine)])
    assert "\x1b" not in stream.getvalue()


def test_a_step_that_fails_ends_the_run_and_is_named(tmp_path: Path) -> None:
    stream = io.StringIO()
    after = Step("Never.", "touch after", _fine)
    with pytest.raises(StepFailedError, match="Try it"):
        _runner(tmp_path, stream).run([Step("Try it.", "false", checks.succeeded("done")), after])
    assert "FAILED  expected exit status 0, got 1" in stream.getvalue()
    assert not (tmp_path / "after").exists()


@pytest.mark.parametrize("command", ["false; true", "false | true", "false\ntrue"])
def test_nothing_in_a_command_may_fail_unseen(tmp_path: Path, command: str) -> None:
    with pytest.raises(StepFailedError):
        _runner(tmp_path, io.StringIO()).run([Step("Try it.", command, checks.succeeded("done"))])


def test_a_patient_step_is_run_again_until_it_comes_out_right(tmp_path: Path) -> None:
    stream = io.StringIO()
    command = "echo x >>tries; test $(wc -l <tries) -ge 3; echo enough"
    _runner(tmp_path, stream).run([Step("Try it.", command, checks.succeeded("done", "enough"), patience=30)])
    assert (tmp_path / "tries").read_text() == "x\n" * 3
    assert stream.getvalue().count("$ echo x") == 1


def test_a_patient_step_gives_up_when_a_server_has_died(tmp_path: Path) -> None:
    def dead() -> None:
        raise NotReadyError("the issuer has ended")

    runner = Runner(Console(io.StringIO()), tmp_path, {"PATH": "/usr/bin:/bin"}, dead)
    with pytest.raises(NotReadyError):
        runner.run([Step("Ready?", "false", checks.succeeded("ready"), patience=600)])


def test_the_clock_runs_on_over_steps_until_one_starts_it_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _ticking(monkeypatch, itertools.count())
    seen: list[float] = []

    def note(result: Result) -> str:
        seen.append(result.seconds)
        return ""

    _runner(tmp_path, io.StringIO()).run(
        [
            Step("A", "true", note, starts_clock=True),
            Step("B", "true", note),
            Step("C", "true", note, starts_clock=True),
        ]
    )
    assert seen[1] > seen[0] == seen[2] > 0


@pytest.mark.parametrize(
    ("check", "output", "status", "complaint"),
    [
        (checks.succeeded("x", "wanted"), "something else", 0, "contain 'wanted'"),
        (checks.refused_by_issuer("wrong_name"), '{"access_token":"e"}\n200\n' + _trail("ok"), 0, "got 200"),
        (checks.refused_by_issuer("wrong_name"), f"{_REFUSAL}\n401\n{_trail('expired_certificate')}", 0, "audit log"),
        (checks.refused_by_issuer("wrong_name"), f"{_REFUSAL}\n401", 0, "three lines"),
        (checks.refused_by_tls, "curl: (7) Failed to connect", 7, "status 7"),
        (checks.refused_by_tls, _REFUSAL, 0, "status 0"),
        (checks.refused_by_tls, f"{_REFUSAL}\ncurl: (56)", 56, "issuer answered"),
        (checks.same_names, "issuer=a\nissuer=b", 0, "same issuer"),
        (checks.same_names, "", 0, "same issuer"),
        (checks.active("shop:billing"), '{"active":false}', 0, "active token"),
        (checks.active("shop:billing"), '{"active":true,"client_id":"shop:shipping"}', 0, "shop:billing"),
        (checks.active("shop:billing"), "<html>", 0, "expected JSON"),
    ],
)
def test_a_check_complains(check: Check, output: str, status: int, complaint: str) -> None:
    with pytest.raises(Unexpected, match=complaint):
        check(_result(output, status=status))


@pytest.mark.parametrize(
    ("check", "output", "status"),
    [
        (checks.refused_by_issuer("wrong_name"), f"{_REFUSAL}\n401\n{_trail('wrong_name')}\n", 0),
        (checks.refused_by_tls, "curl: (35) alert unknown ca", 35),
        (checks.refused_by_tls, "curl: (52) Empty reply from server", 52),
        (checks.same_names, "issuer=a\nsubject=\nissuer=a\nsubject=\n", 0),
        (checks.active("shop:billing"), '{"active":true,"client_id":"shop:billing"}', 0),
    ],
)
def test_a_check_is_content(check: Check, output: str, status: int) -> None:
    assert check(_result(output, status=status))


def test_a_token_bound_to_another_certificate_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "billing").mkdir()
    (tmp_path / "billing" / "thumbprint").write_text("AAAA\n")
    (tmp_path / "claims.json").write_text('{"cnf":{"x5t#S256":"AAAA"}}')
    assert checks.bound_to_certificate(_result(folder=tmp_path))
    (tmp_path / "claims.json").write_text('{"cnf":{"x5t#S256":"BBBB"}}')
    with pytest.raises(Unexpected, match="bound to BBBB"):
        checks.bound_to_certificate(_result(folder=tmp_path))


@pytest.mark.parametrize(
    ("answer", "seconds", "complaint"),
    [
        ('{"error":"invalid_client"}', 0.5, "token response"),
        ('{"access_token":"e","token_type":"Bearer"}', 11.0, "at most 10 s"),
        (None, 0.5, "a file token.json"),
    ],
)
def test_no_token_or_a_late_one_is_noticed(tmp_path: Path, answer: str | None, seconds: float, complaint: str) -> None:
    if answer is not None:
        (tmp_path / "token.json").write_text(answer)
    with pytest.raises(Unexpected, match=complaint):
        checks.issued_token(within=10)(_result(folder=tmp_path, seconds=seconds))


@pytest.mark.parametrize(
    ("claims", "complaint"),
    [
        ({"sub": "other"}, "claim sub"),
        ({"scope": "orders.read"}, "claim scope"),
        ({"cnf": {}}, "x5t#S256"),
    ],
)
def test_claims_that_are_not_the_clients_are_noticed(tmp_path: Path, claims: dict[str, object], complaint: str) -> None:
    good = {"sub": "a:b", "client_id": "a:b", "scope": "s", "cnf": {"x5t#S256": "AAAA"}}
    (tmp_path / "claims.json").write_text(json.dumps(good | claims))
    with pytest.raises(Unexpected, match=complaint):
        checks.claims_of("a:b", "s")(_result(folder=tmp_path))


@pytest.mark.parametrize(
    ("before", "now", "complaint"),
    [(("AAAA", "a:b"), ("AAAA", "a:b"), "one from before"), (("AAAA", "a:b"), ("BBBB", "a:c"), "client id to stay")],
)
def test_a_secret_that_came_back_wrong_is_noticed(
    tmp_path: Path, before: tuple[str, str], now: tuple[str, str], complaint: str
) -> None:
    for name, (thumbprint, client_id) in (("before", before), ("billing", now)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "thumbprint").write_text(thumbprint)
        (tmp_path / name / "client-id").write_text(client_id)
    with pytest.raises(Unexpected, match=complaint):
        checks.another_certificate(_result(folder=tmp_path))


def test_a_missing_tool_is_named_where_it_cannot_be_installed() -> None:
    with pytest.raises(ToolMissingError, match="install curl"):
        ensure_tools(Console(io.StringIO()), which=lambda tool: None if tool in {"curl", "apt-get"} else f"/bin/{tool}")
