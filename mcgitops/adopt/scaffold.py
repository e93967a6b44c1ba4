"""A small project that trains at once: which files it has, rendered from `templates/scaffold`."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from mcgitops.adopt.templates import environment
from mcgitops.resources import templates


def render(name: str) -> dict[str, str]:
    """Path in the project → text. Names that begin with a dot are spelt `dot_` in the templates."""
    root = templates("scaffold")
    jinja = environment("scaffold")
    found: dict[str, str] = {}
    for path in sorted(root.rglob("*")):
        if not path.is_file() or "__pycache__" in path.parts:
            continue
        source = path.relative_to(root).as_posix()
        parts = [part.replace("dot_", ".", 1) for part in PurePosixPath(source).parts]
        target = "/".join(parts)
        if target.endswith(".j2"):
            found[target.removesuffix(".j2")] = jinja.get_template(source).render(name=name)
        else:
            found[target] = path.read_text("utf-8")
    return dict(sorted(found.items()))


def project_name(folder_name: str) -> str:
    """The folder's name as Compose would make a project name of it."""
    name = re.sub(r"[^a-z0-9_-]", "", folder_name.lower()).lstrip("_-")
    return name or "model"
