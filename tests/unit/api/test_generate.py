"""``hack/generate``: writes what is missing or stale, and says so without writing."""

from pathlib import Path

import pytest

from generate.__main__ import ROOT, main
from generate.files import generated_files


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    assert main(["--root", str(tmp_path)]) == 0
    return tmp_path


def test_the_files_of_this_checkout_are_current(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", "--root", str(ROOT)]) == 0, capsys.readouterr().out


def test_the_same_types_give_the_same_bytes() -> None:
    assert generated_files() == generated_files()


def test_writing_twice_writes_nothing_the_second_time(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert main(["--root", str(checkout)]) == 0
    assert capsys.readouterr().out == ""


def test_a_stale_file_is_shown_as_a_difference_and_left_alone(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = checkout / "crds/mintls.dev_oauthclients.yaml"
    stale = path.read_text().replace("- oac", "- oauth")
    path.write_text(stale)
    assert main(["--check", "--root", str(checkout)]) == 1
    printed = capsys.readouterr()
    assert "-      - oauth\n+      - oac\n" in printed.out
    assert "make generate" in printed.err
    assert path.read_text() == stale


def test_a_missing_file_is_stale(checkout: Path) -> None:
    (checkout / "docs/reference/api.md").unlink()
    assert main(["--check", "--root", str(checkout)]) == 1


def test_a_definition_that_no_type_generates_is_stale_and_taken_away(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stray = checkout / "crds/mintls.dev_olds.yaml"
    stray.write_text("kind: Old\n")
    assert main(["--check", "--root", str(checkout)]) == 1
    assert "crds/mintls.dev_olds.yaml: no type generates it" in capsys.readouterr().out
    assert main(["--root", str(checkout)]) == 0
    assert not stray.exists()


def test_the_reference_quotes_every_rule_and_names_every_field() -> None:
    text = generated_files()["docs/reference/api.md"]
    assert "### `clientcertificate.spec.renewBefore`" in text
    assert "Defaults to `10m`." in text
    assert '- Rule: "set exactly one of subjectDN, sanDNS, sanURI, sanIP and sanEmail' in text
    assert "### `certificateauthority.status.keys[].fingerprint`" in text
