from __future__ import annotations

from bad_night import QUESTIONS
from bench import Bench
from fresh_process import measure_in_fresh_process
from speed_table import Comparison, Row, Target

# Others have a bound of two seconds.
MOST_SECONDS = {"what do they share: explain()": 5.0, "is the file sane: check()": 30.0}
# This executes all steps for as many runs as failed, which is a twentieth of all.
WITHOUT_BOUND = "would the fix work, for all: rehearse()"


def test_the_questions_of_the_morning_after(bench: Bench) -> None:
    store, runs = bench.stores.unused(), bench.sizes.finished
    arguments: dict[str, str | int] = {"store": str(store), "workers": bench.sizes.workers}
    source = str(bench.stores.source(runs))
    night = measure_in_fresh_process("bad_night", "spend", {**arguments, "source": source})
    assert night.counts["runs"] == runs
    assert night.counts["failed"] > 0

    facts = bench.once(lambda: measure_in_fresh_process("bad_night", "ask", arguments)).facts

    for question in QUESTIONS:
        bound = Target(Comparison.ALONE, MOST_SECONDS.get(question, 2.0))
        target = Target(Comparison.NOTHING) if question == WITHOUT_BOUND else bound
        for when, name in (("", question), (", beside", f"{question} beside a drain")):
            seconds = float(facts[f"{question}{when}"])
            bench.record(Row(f"{name}, {runs:,} runs", target, [seconds]))
