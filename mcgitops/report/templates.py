"""The Jinja2 environment of the views: no escaping of its own, only the filters of `escape`."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from mcgitops.report import escape, words
from mcgitops.resources import templates

if TYPE_CHECKING:
    from jinja2 import Environment


def render(name: str, **values: object) -> str:
    """The template `templates/report/NAME`, without surrounding blank lines."""
    return _environment().get_template(name).render(**values).strip("\n")


@lru_cache(maxsize=1)
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(templates("report")),
        autoescape=False,  # noqa: S701  # Markdown, not HTML: every value goes through a filter
        undefined=StrictUndefined,
        keep_trailing_newline=False,
    )
    environment.filters.update(
        plain=escape.plain,
        prose=escape.prose,
        code=escape.code,
        fence=escape.fence,
        clean=escape.clean,
        revision=words.revision,
    )
    return environment
