"""Templates to pages: the one place where HTML is made. Everything is escaped unless a template of ours says not to."""

from importlib import resources
from importlib.util import find_spec

from piq_bench.errors import BadUsage, Problem

INSTALL = "pip install 'piq-bench[report]'"


def render(template: str, **values: object) -> str:
    """A page's text.

    Args:
        template: file in `templates`.
        values: what it shows.

    Raises:
        BadUsage: if jinja2 is not installed.
    """
    require()
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    folder = resources.files("piq_bench.report") / "templates"
    environment = Environment(
        loader=FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(values)


def require() -> None:
    """Raises BadUsage if jinja2 is not installed: to be asked before long work, not after it."""
    if find_spec("jinja2") is None:
        raise BadUsage("HTML", [Problem("not-installed", "jinja2", "is not installed", INSTALL)])
