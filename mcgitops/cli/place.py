"""What one report is called, so that no two of a pull request are taken for one another.

A repository may hold several projects, also of one name in different folders, and a workflow may
have legs that each report: the key of a comment tells all of them apart.
"""

from __future__ import annotations

from mcgitops.cli.app import App
from mcgitops.deferred import dataclass
from mcgitops.facts import git
from mcgitops.forge.settings import cleaned, key_from, leg_of

LEG = "MCGITOPS_LEG"
"""The variable through which the actions pass the leg: the workflow's matrix, as JSON."""


@dataclass(frozen=True)
class Place:
    """The key of a report's comment, and the name that people see."""

    key: str
    shown: str

    @classmethod
    def of(cls, app: App, key: str = "") -> Place:
        """A given key as it is; else out of the project, its folder and the workflow's leg."""
        name = app.project.name
        if key:
            return cls(key, name if key == name else f"{name}, {key}")
        leg = cleaned(LEG, app.environ.get(LEG, ""), leg_of)
        apart = (_folder(app), leg)
        return cls(key_from(name, *apart), ", ".join(text for text in (name, *apart) if text))


def _folder(app: App) -> str:
    """The project's folder in its repository; "" for the repository's own."""
    top = git.root(app.folder)
    if top is None or not app.folder.is_relative_to(top.resolve()):
        return ""
    folder = app.folder.relative_to(top.resolve()).as_posix()
    return "" if folder == "." else folder
