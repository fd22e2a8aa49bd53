"""Renders the HTML templates; all values are escaped unless a template says otherwise."""

from functools import cache
from importlib import resources
from importlib.util import find_spec
from typing import TYPE_CHECKING

from piq_bench.errors import BadUsage, Problem

if TYPE_CHECKING:
    from jinja2 import Environment

INSTALL = "pip install 'piq-bench[report]'"


def render(template: str, **values: object) -> str:
    """Render a template.

    Args:
        template: file name in `templates`.
        values: variables of the template.

    Raises:
        BadUsage: if jinja2 is not installed.
    """
    require()
    return str(_environment().get_template(template).render(values))


@cache
def _environment() -> "Environment":
    """The templates, each compiled once: a board renders one of them for every entry."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    folder = resources.files("piq_bench.report") / "templates"
    return Environment(
        loader=FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def require() -> None:
    """Raise BadUsage if jinja2 is not installed; called before long computations."""
    if find_spec("jinja2") is None:
        raise BadUsage("HTML", [Problem("not-installed", "jinja2", "is not installed", INSTALL)])
