"""Reads exclusion rules: which columns a gallery image must share with a query to be no candidate of it.

A rule is a list in benchmark.toml, `["identity", "camera"]`, and joined by "+" on the command line. "~" before a column
asks for different values: `identity+~clothes` excludes images of the same person in other clothes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from piq_bench.errors import BadUsage, Problem, quoted
from piq_bench.read.validate import closest
from piq_bench.records import Benchmark, Rule

JOIN = "+"
DIFFER = "~"
EXPECTED = ("camera", "sequence", "clothes")  # columns by which the field excludes images
EXAMPLE = '["identity", "camera"]'


@dataclass(frozen=True)
class CandidateRules:
    """Who is a candidate, as a benchmark.toml or a data set's layout declares it; None where it says nothing.

    Attributes:
        exclude: rules by which gallery images are no candidates.
        junk: identities whose images take no part in retrieval.
        distractors: identities whose images are nobody's: candidates, never positives, never queries.
        persons: identities that are people, although their names look like missing values.
    """

    exclude: tuple[Rule, ...] | None = None
    junk: tuple[str, ...] | None = None
    distractors: tuple[str, ...] | None = None
    persons: tuple[str, ...] = ()

    def over(self, standard: "CandidateRules") -> "CandidateRules":
        """These rules, and the standard ones where these say nothing."""
        return CandidateRules(
            exclude=standard.exclude if self.exclude is None else self.exclude,
            junk=standard.junk if self.junk is None else self.junk,
            distractors=standard.distractors if self.distractors is None else self.distractors,
            persons=self.persons or standard.persons,
        )


def rule_of(parts: Sequence[str]) -> tuple[Rule | None, str]:
    """The rule that some columns make, or None and why they make none.

    >>> rule_of(["identity", "~clothes"])[0]
    Rule(agree=('identity',), differ=('clothes',))
    >>> rule_of(["~camera"])
    (None, 'names no column that must agree')
    """
    agree = tuple(sorted({part for part in parts if not part.startswith(DIFFER)}))
    differ = tuple(sorted({part.removeprefix(DIFFER) for part in parts if part.startswith(DIFFER)}))
    both = sorted({*agree} & {*differ})
    if "" in (*agree, *differ):
        return None, "holds an empty name"
    if both:
        return None, f"asks {quoted(both[0])} both to agree and to differ"
    if "group" in differ:
        return None, "asks near-duplicate groups to differ, which excludes nearly everything"
    if not agree:
        return None, "names no column that must agree"
    return Rule(tuple(sorted(agree, key=_identity_first)), differ), ""


def parse_rules(texts: Iterable[str]) -> tuple[Rule, ...]:
    """Rules as written on the command line.

    Raises:
        BadUsage: naming every text that is no rule.

    >>> parse_rules(["camera+identity", "sequence"])
    (Rule(agree=('identity', 'camera'), differ=()), Rule(agree=('sequence',), differ=()))
    """
    rules, problems = [], []
    for text in texts:
        rule, fault = rule_of(text.split(JOIN))
        if rule is None:
            remedy = "columns joined by '+', such as identity+camera or sequence"
            problems.append(Problem("bad-rule", "--exclude", f"{quoted(text)} {fault}", remedy))
        else:
            rules.append(rule)
    if problems:
        raise BadUsage("--exclude", problems)
    return tuple(rules)


def with_rules(benchmark: Benchmark, rules: Sequence[Rule]) -> Benchmark:
    """The benchmark with more exclusion rules.

    Raises:
        BadUsage: naming every column that the data set lacks.
    """
    problems = column_problems("--exclude", rules, benchmark.rule_columns)
    if problems:
        raise BadUsage("--exclude", problems)
    return replace(benchmark, exclude=ordered((*benchmark.exclude, *rules)))


def ordered(rules: Iterable[Rule]) -> tuple[Rule, ...]:
    """Each rule once, in an order that does not depend on how they were written down."""
    return tuple(sorted(set(rules), key=str))


def column_problems(where: str, rules: Iterable[Rule], known: Sequence[str]) -> list[Problem]:
    """Columns of rules that the data set does not have."""
    problems = []
    for name in dict.fromkeys(name for rule in rules for name in rule.columns if name not in known):
        meant = closest(name, known)
        if name == "group":
            remedy = "`piq groups` makes near-duplicate groups, or write a groups.csv with columns image and group"
        else:
            remedy = f"did you mean {quoted(meant)}?" if meant else f"add it, or use one of {', '.join(known)}"
        problems.append(Problem("unknown-column", where, f"the annotations have no column {quoted(name)}", remedy))
    return problems


def unused_columns(benchmark: Benchmark) -> list[str]:
    """Columns that usually decide who is a candidate, and that no rule of this benchmark names."""
    used = {name for rule in benchmark.exclude for name in rule.columns}
    return [name for name in EXPECTED if name in benchmark.rule_columns and name not in used]


def _identity_first(column: str) -> tuple[bool, str]:
    return column != "identity", column
