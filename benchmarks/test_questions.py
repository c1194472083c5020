from __future__ import annotations

import pytest

from bench import Bench, seconds_of
from fresh_process import measure_in_fresh_process
from questions import QUESTIONS
from speed_table import Comparison, Row, Target


@pytest.mark.parametrize("question", QUESTIONS)
def test_questions_over_many_runs(bench: Bench, question: str) -> None:
    store = str(bench.stores.finished_store(bench.sizes.finished))

    (timed,) = bench.alternate(
        lambda: measure_in_fresh_process(
            "questions", "time_question", {"store": store, "question": question}
        )
    )

    name = f"{question} over {bench.sizes.finished:,} runs"
    bench.record(Row(name, Target(Comparison.NOTHING), seconds_of(timed)))
    by_socket = [float(sample.facts["by_socket"]) for sample in timed]
    bench.record(Row(f"{question} through the socket", Target(Comparison.NOTHING), by_socket))


def test_a_check_of_many_runs(bench: Bench) -> None:
    store = str(bench.stores.finished_store(bench.sizes.finished))

    (timed,) = bench.alternate(
        lambda: measure_in_fresh_process("questions", "time_check", {"store": store})
    )

    assert all(sample.facts["problems"] == 0 for sample in timed)
    name = f"a check of {bench.sizes.finished:,} runs"
    bench.record(Row(name, Target(Comparison.NOTHING), seconds_of(timed)))


def test_the_picture_of_an_engine_with_many_runs(bench: Bench) -> None:
    store = str(bench.stores.finished_store(bench.sizes.finished))

    (timed,) = bench.alternate(
        lambda: measure_in_fresh_process("questions", "time_picture", {"store": store})
    )

    name = f"an engine's picture over {bench.sizes.finished:,} runs"
    bench.record(Row(name, Target(Comparison.NOTHING), seconds_of(timed)))
