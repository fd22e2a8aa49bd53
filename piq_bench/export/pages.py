"""Renders the pages of a challenge from templates: Markdown for Codabench, and the same pages as HTML for EvalAI.

Names in a data set cannot inject markup: every value that a template shows is escaped for Markdown, and raw HTML is
switched off when Markdown becomes HTML.
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
    """Safe text that a template shows without escaping."""


def require() -> None:
    """Raise BadUsage if a library that bundles need is not installed; call it before any work is done."""
    problems = [
        Problem("not-installed", name, "is not installed", INSTALL)
        for module, name in NEEDED.items()
        if find_spec(module) is None
    ]
    if problems:
        raise BadUsage("export", problems)


def markdown_page(template: str, values: Mapping[str, Any]) -> str:
    """Render a template as Markdown.

    Args:
        template: name of a file in `templates`.
        values: values of the template's variables.
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
    environment.filters["verbatim"] = Verbatim  # for names that were checked to be plain
    return environment.get_template(template).render(values)


def html_page(text: str) -> str:
    """Convert Markdown to HTML without a head, for embedding in the host's page."""
    from markdown_it import MarkdownIt

    return str(MarkdownIt("commonmark", {"html": False}).enable("table").render(text))


def yaml_text(content: object) -> str:
    """Write a configuration as YAML that people can read and edit."""
    import yaml

    class Plain(yaml.SafeDumper):
        """Writes a repeated value in full, not as a reference."""

        def ignore_aliases(self, data: object) -> bool:
            return True

    return str(yaml.dump(content, Dumper=Plain, sort_keys=False, allow_unicode=True, width=110))


def _shown(value: object) -> object:
    """The text that replaces {{ value }}: escaped unless it is a number or verbatim."""
    if isinstance(value, Verbatim | int | float) or value is None:
        return value
    return escaped(str(value))
