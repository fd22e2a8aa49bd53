"""Templates to the pages of a challenge: Markdown for Codabench, the same as HTML for EvalAI.

Whatever an organiser's data set is called, it is text here: everything that a template shows is escaped for Markdown,
and HTML is made with raw HTML switched off.
"""

from collections.abc import Mapping
from importlib import resources
from importlib.util import find_spec
from typing import Any

from piq_bench.errors import BadUsage, Problem
from piq_bench.report.markdown import escaped

INSTALL = "pip install 'piq-bench[export]'"
NEEDED = {"jinja2": "jinja2", "markdown_it": "markdown-it-py", "yaml": "pyyaml"}
PAGES = ("overview", "data", "submission", "evaluation", "terms")


class Verbatim(str):
    """Text of ours, which a template may show as it is."""


def require() -> None:
    """Raises BadUsage if what writes bundles is not installed: to be asked before any work."""
    problems = [
        Problem("not-installed", name, "is not installed", INSTALL)
        for module, name in NEEDED.items()
        if find_spec(module) is None
    ]
    if problems:
        raise BadUsage("export", problems)


def markdown_page(template: str, values: Mapping[str, Any]) -> str:
    """A page's text.

    Args:
        template: file in `templates`.
        values: what it shows.
    """
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    folder = resources.files("piq_bench.export") / "templates"
    environment = Environment(  # noqa: S701  (Markdown: `finalize` escapes)
        loader=FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8")),
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["verbatim"] = Verbatim  # of names that were checked to be plain
    return environment.get_template(template).render(values)


def html_page(text: str) -> str:
    """Markdown of ours as HTML, without a head: a part of the host's page."""
    from markdown_it import MarkdownIt

    return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(text))


def yaml_text(content: object) -> str:
    """A configuration that people read and edit."""
    import yaml

    class Plain(yaml.SafeDumper):
        """Writes a value twice rather than point to where it stands."""

        def ignore_aliases(self, data: object) -> bool:
            return True

    return str(yaml.dump(content, Dumper=Plain, sort_keys=False, allow_unicode=True, width=110))


def _shown(value: object) -> object:
    """What stands in place of {{ value }}."""
    if isinstance(value, Verbatim | int | float) or value is None:
        return value
    return escaped(str(value))
