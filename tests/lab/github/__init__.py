"""A stateful stand-in for GitHub's API that GitHub's own description of it keeps honest."""

from tests.lab.github.description import Description, Violation, load_description
from tests.lab.github.server import FakeGitHub, Fault

__all__ = ["Description", "FakeGitHub", "Fault", "Violation", "load_description"]
