"""The templates of the HTML pages that are written."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import jinja2


def page_template(path: Path, **options: Any) -> jinja2.Template:
    """Read the template of a page. Every value is escaped, and a name that is not given is an error.

    Args:
        path: file of the template; it may include others of its folder.
        options: further options of ``jinja2.Environment``.
    """
    import jinja2

    loader = jinja2.FileSystemLoader(path.parent)
    environment = jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined, **options)
    return environment.get_template(path.name)
