"""Knows who is who: names, the labels that belong to a person, and who was merged into whom."""

import numpy as np
from numpy.typing import NDArray

from piq_bench.build.annotate.store import LABEL, MERGED, NAME, Change


class People:
    """Everybody whom an annotator has named. Numbers count from 1 and are never used twice."""

    def __init__(self) -> None:
        self._name: dict[int, str] = {}
        self._label: dict[int, str] = {}
        self._into: dict[int, str] = {}
        self._roots: NDArray[np.int32] | None = None

    def add(self, number: int, name: str, label: str, merged_into: str = "") -> None:
        """Enter a person."""
        self._name[number], self._label[number], self._into[number] = name, label, merged_into
        self._roots = None

    def apply(self, change: Change) -> None:
        """Follow a change of a person."""
        {NAME: self._name, LABEL: self._label, MERGED: self._into}[change.kind][int(change.key)] = change.after
        self._roots = None

    def __contains__(self, number: int) -> bool:
        return number in self._name

    def name(self, number: int) -> str:
        """The name of a person."""
        return self._name[number]

    def label(self, number: int) -> str:
        """The label of a person, such as the gender; empty if it is not known."""
        return self._label[number]

    def numbered(self, name: str) -> int | None:
        """The person of that name, also one who was merged; None if there is none."""
        return next((number for number, known in self._name.items() if known == name), None)

    def by_name(self) -> dict[str, int]:
        """The number of every name."""
        return {name: number for number, name in self._name.items()}

    def labels(self) -> list[str]:
        """The label of each number from 0 on."""
        return [self._label.get(number, "") for number in range(max(self._name, default=-1) + 1)]

    def root(self, number: int) -> int:
        """The person whom a person turned out to be, by all mergers."""
        seen = {number}
        while into := self._into[number]:
            number = int(into)
            if number in seen:  # two mergers and an undoing in between can close a circle
                return min(seen)
            seen.add(number)
        return number

    def merged(self, codes: NDArray[np.int32]) -> NDArray[np.int32]:
        """Answers with every person replaced by `root`; negative codes stay."""
        if self._roots is None:
            most = max(self._name, default=0)
            self._roots = np.array([self.root(n) if n in self._name else n for n in range(most + 1)], dtype=np.int32)
        return np.where(codes >= 0, self._roots[np.maximum(codes, 0)], codes).astype(np.int32)

    def new_name(self) -> str:
        """A name that nobody has: "person-0001" and so on."""
        taken = set(self._name.values())
        number = len(taken) + 1
        while f"person-{number:04}" in taken:
            number += 1
        return f"person-{number:04}"
