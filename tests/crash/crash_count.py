"""Counts of what happened in the rounds, and their table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class Count:
    """The counts so far.

    Attributes:
        kills: Killed coordinators, by the point at which they were killed.
        deaths: Dead workers, by their cause of death.
        numbers: All other counts.
        problems: The deviations from what is expected, each with the seed that reproduces it.
    """

    kills: Counter[str] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)
    numbers: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    def foresees(self, more_rounds: int, kills: int, deaths: int) -> bool:
        """Return whether these numbers are reached with ``more_rounds`` like those so far."""
        rounds = self.numbers["rounds"]
        part = (rounds + more_rounds) / rounds if rounds else 0.0
        return self.kills.total() * part >= kills and self.deaths.total() * part >= deaths

    def add(self, other: Count) -> None:
        self.kills += other.kills
        self.deaths += other.deaths
        self.numbers += other.numbers
        self.problems += other.problems

    def table(self) -> str:
        return "\n".join(
            [
                *_part("coordinators killed", self.kills),
                *_part("workers that died", self.deaths),
                *_part("altogether", self.numbers, summed=False),
                _line("problems", len(self.problems)),
            ]
        )


def _part(title: str, counts: Counter[str], *, summed: bool = True) -> Iterator[str]:
    yield _line(title, counts.total()) if summed else title
    for name, number in counts.most_common():
        yield _line(f"  {name}", number)
    yield ""


def _line(name: str, number: int) -> str:
    return f"{name:<76} {number:>11,}"
