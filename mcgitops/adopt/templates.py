"""The Jinja2 environment of the files that `init` writes: plain text, no undefined names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcgitops.resources import templates

if TYPE_CHECKING:
    from jinja2 import Environment


def environment(folder: str) -> Environment:
    """Templates of `templates/FOLDER`. `[[ ]]` is ours: GitHub's and Compose's braces stay."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(templates(folder)),
        autoescape=False,  # noqa: S701  # YAML and Python, not HTML
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        variable_start_string="[[",
        variable_end_string="]]",
        block_start_string="[%",
        block_end_string="%]",
        comment_start_string="[#",
        comment_end_string="#]",
    )
