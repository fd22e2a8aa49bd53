"""Other evaluators, one function each.

None yet.
"""

from benchmarks.evaluators import Evaluator

PEERS: tuple[Evaluator, ...] = ()
