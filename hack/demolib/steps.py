"""A step: a command, run through bash exactly as it is shown, and a check of what came of it."""

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from demolib.console import Console
from demolib.errors import StepFailedError

_PAUSE = 0.05


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a command.

    Attributes:
        status: Its exit status.
        output: What it wrote to stdout and stderr, in that order of time.
        folder: Where it ran; earlier steps left their files there.
        seconds: Since the step's clock began.
    """

    status: int
    output: str
    folder: Path
    seconds: float


class Unexpected(Exception):  # noqa: N818 - reads as the sentence that it stands for
    """What came of a command is not what should have; the text says both."""


type Check = Callable[[Result], str]
"""What was seen, in a few words; raises Unexpected."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step.

    Attributes:
        remark: What it is for.
        command: What is run, and shown.
        check: Looks at what came of it.
        patience: For how many seconds the command is run again while the check fails.
        starts_clock: Whether the time of this and the following steps counts from its beginning.
        measures: What the time on the clock at its end is, for the summary; "" if nothing.
    """

    remark: str
    command: str
    check: Check
    patience: float = 0.0
    starts_clock: bool = False
    measures: str = ""


class Runner:
    """Runs steps, one after the other, in one folder and with one environment.

    Attributes:
        done: How many came out as expected.
        measured: What was measured on the way, for the summary.
    """

    def __init__(
        self, console: Console, folder: Path, environment: Mapping[str, str], alive: Callable[[], None] | None = None
    ) -> None:
        """Prepare.

        Args:
            console: Is told everything.
            folder: Where commands run.
            environment: What they find in their environment.
            alive: Asked before a command is run again; raises if there is no use in that.
        """
        self._console = console
        self._folder = folder
        self._environment = dict(environment)
        self._alive = alive or (lambda: None)
        self._clock = time.monotonic()
        self.done = 0
        self.measured: list[str] = []

    def run(self, steps: Sequence[Step]) -> None:
        """Run the steps.

        Raises:
            StepFailedError: One did not come out as expected; those after it were not run.
        """
        for step in steps:
            self._run(step)

    def _run(self, step: Step) -> None:
        began = time.monotonic()
        if step.starts_clock:
            self._clock = began
        self._console.command(step.command, step.remark)
        result, seen, problem = self._until(step, began + step.patience)
        self._console.output(result.output)
        if problem:
            self._console.failed(problem)
            raise StepFailedError(f"{step.remark}: {problem}")
        self._console.passed(f"{seen} ({time.monotonic() - began:.1f} s)")
        self.done += 1
        if step.measures:
            self.measured.append(f"{step.measures}: {result.seconds:.2f} s")

    def _until(self, step: Step, deadline: float) -> tuple[Result, str, str]:
        while True:
            result = self._execute(step.command)
            try:
                return result, step.check(result), ""
            except Unexpected as unexpected:
                if time.monotonic() > deadline:
                    return result, "", str(unexpected)
            self._alive()
            time.sleep(_PAUSE)

    def _execute(self, command: str) -> Result:
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", command],
            cwd=self._folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        return Result(done.returncode, done.stdout, self._folder, time.monotonic() - self._clock)
