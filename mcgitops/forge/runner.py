"""The runner's side of a job: its log, the run's page, the summary, the outputs.

Effects only; the text is made in `mcgitops.forge.workflow`. Outside a runner the same things are
said in plain words, and there is no summary.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from mcgitops.forge import workflow
from mcgitops.forge.settings import Settings


class Runner:
    """Says things to the runner that executes this job."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._annotate = workflow.Annotations()
        self._outputs: dict[str, str] = {}

    def say(self, text: str) -> None:
        """A line in the log."""
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    @contextmanager
    def unheard(self) -> Iterator[None]:
        """While this lasts, nothing that is printed is a command of the runner."""
        if not self.settings.in_actions:
            yield
            return
        begin, end = workflow.unheard()
        self.say(begin)
        try:
            yield
        finally:
            self.say(end)

    def notice(self, text: str) -> None:
        """Something that people should know though nothing is wrong."""
        self._on_page("notice", text)

    def error(self, text: str, file: str = "", line: int | None = None) -> None:
        """What went wrong, and in which line of the repository's file where that is known."""
        self._on_page("error", text, file, line)

    def summary(self, markdown: str) -> None:
        """Add to the job's summary, where there is one."""
        if self.settings.summary:
            workflow.append_summary(self.settings.summary, markdown)

    def output(self, name: str, value: str) -> None:
        """Set an output of the step; the last value counts."""
        self._outputs[name] = value

    @property
    def outputs(self) -> dict[str, str]:
        """The outputs so far."""
        return dict(self._outputs)

    def finish(self) -> None:
        """Hand the outputs over."""
        if self.settings.output:
            for name, value in self._outputs.items():
                workflow.write_output(self.settings.output, name, value)

    def hide(self, secret: str) -> None:
        """Let the runner hide a secret in its log. Only a runner may see this."""
        if self.settings.in_actions and secret:
            for line in workflow.mask(secret):
                self.say(line)

    def _on_page(
        self, level: workflow.Level, text: str, file: str = "", line: int | None = None
    ) -> None:
        if self.settings.in_actions:
            self.say(self._annotate(level, text, title="mcgitops", file=file, line=line))
        else:
            self.say(text)
