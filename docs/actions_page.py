"""Writes docs/reference/actions.md from the actions' own files; called by `docs.generate`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parent.parent
ACTIONS = {
    "mcgitops/mcgitops": ROOT / "action.yml",
    "mcgitops/mcgitops/actions/train": ROOT / "actions/train/action.yml",
    "mcgitops/mcgitops/actions/report": ROOT / "actions/report/action.yml",
    "mcgitops/mcgitops/actions/deploy": ROOT / "actions/deploy/action.yml",
    "mcgitops/mcgitops/actions/hand-over": ROOT / "actions/hand-over/action.yml",
    "mcgitops/mcgitops/actions/rerun": ROOT / "actions/rerun/action.yml",
}

INTRODUCTION = """\
# Actions

Composite actions: they run on GitHub's runners, on your own, and on Forgejo's and Gitea's. They \
need Docker with Compose and buildx, git, and Python 3.11 or newer; what else they need they \
install once per runner, by hash. How to use them: [GitHub \
Actions](../how-to/github-actions.md).

The first action does what the event asks for, which is all that most workflows need. The next \
three are its parts, for workflows with a job each. These four call `mcgitops ci`: an input is the \
option of the same name ([commands](commands.md#mcgitops-ci)). The last two are for workflows on \
the default branch; they need neither a checkout nor Docker, and call [`mcgitops \
hand-over`](commands.md#mcgitops-hand-over) and [`mcgitops rerun`](commands.md#mcgitops-rerun).

Several values in one input have blanks between them; `files` has one a line. An input that is \
left empty leaves the job's own variable in force, such as `MCGITOPS_STORE`.
"""

PERMISSIONS = """\
## Permissions of the token

| permission | for |
|:--|:--|
| `contents: read` | the checkout; whether a tag's commit is on the default branch |
| `pull-requests: write` | the comment; a push finds its pull request, gates their waivers |
| `actions: read` | what a fork's run handed over (`hand-over`) |
| `actions: write` | to run a workflow again (`rerun`) |
| `statuses: write` | the commit status, where `status` is true |
| `deployments: write` | the deployment that GitHub shows for each environment; in the job that \
deploys only |

Without the right to comment the run stays green: the report is in the job's summary, and the \
log says why there is no comment. Without the right to show a deployment the log says so, and the \
rollout goes on.

## Variables

Read from the job, where no input gives them:

| variable | |
|:--|:--|
| `MCGITOPS_STORE` | the store, instead of the compose file's |
| `MCGITOPS_KNOWN_HOSTS` | the targets' SSH host keys, or the path of a file that has them |
| `MCGITOPS_SSH_KEY` | the private key for the targets, or its path |
| `MCGITOPS_PYTHON` | the Python to use, where `python3` is older than 3.11 |
| `MCGITOPS_TOOL_CACHE` | where the launcher keeps its environment; by default the runner's \
tool cache |
| `AWS_…` | credentials for the store, as every AWS tool finds them |
"""


def actions_page(note: str) -> str:
    """The page's text."""
    parts = [note, INTRODUCTION]
    for name, path in ACTIONS.items():
        action: dict[str, Any] = yaml.safe_load(path.read_text())
        parts += [f"## `{name}`\n", f"{' '.join(action['description'].split())}\n"]
        parts += [*_table("input", action["inputs"]), *_table("output", action.get("outputs", {}))]
    return "\n".join([*parts, PERMISSIONS])


def _table(kind: str, entries: dict[str, dict[str, str]]) -> Iterator[str]:
    if not entries:
        return
    default = " default |" if kind == "input" else ""
    yield f"| {kind} |{default} |"
    yield "|:--|:--|" + (":--|" if default else "")
    for name, entry in entries.items():
        given = f" `{entry['default']}` |" if entry.get("default") else " – |" if default else ""
        yield f"| `{name}` |{given} {' '.join(entry['description'].split())} |"
    yield ""
