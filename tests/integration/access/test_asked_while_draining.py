"""Another process queries and prunes during a drain; no result is wrong, and no run is lost."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from remote_kit import Thing, load, things

import batchflow as bf
from kit.forked import Ended, begin

# Each round connects anew, and asks one more question than how many there are.
ASK_UNTIL_DONE = """
import itertools, sys
import batchflow as bf

QUESTIONS = [
    lambda store: store.runs("number % 1000 = 7").limit(5),
    lambda store: store.errors(),
    lambda store: store.transitions(),
    lambda store: store.throughput(),
    lambda store: store.ages(),
    lambda store: store.funnel(),
    lambda store: store.durations(),
    lambda store: store.sql("SELECT max(version), sum(doubled) FROM things.runs"),
]
EVERYBODY = "SELECT count(*), count(status), min(number), max(number) FROM things.runs"
expected, answers, finished = int(sys.argv[2]), 0, [0]
for question in itertools.cycle(QUESTIONS):
    with bf.connect(sys.argv[1]) as store:
        if not answers:
            print("ready", flush=True)
        answers += 1
        if not store.workflows:
            continue
        counts = store.counts().fetchall()
        assert sum(runs for *_, runs in counts) in (0, expected), counts
        if not counts:
            continue
        everybody = store.sql(EVERYBODY).fetchall()
        assert everybody == [(expected, expected, 0, expected - 1)], everybody
        [(run_id,)] = store.runs("number = 77").select("run_id").fetchall()
        history = store.history(run_id).select("from_status::VARCHAR").fetchall()
        assert history == [("NEW",), ("DOUBLED",)][: len(history)], history
        question(store).fetchall()
        progress = store.progress()
        if progress is not None:
            assert sum(progress.status_counts["things"].values()) == expected, progress
            finished.append(progress.finished)
            # This one, and the five before it in this round.
            under_way = 6 if progress.left else 0
            print(under_way)
        if all(status == "DONE" for status, *_ in counts):
            break
assert finished == sorted(finished), finished
"""

MOVE_UNTIL_TOLD = """
import sys
sys.path.insert(0, sys.argv[2])
import batchflow as bf
from remote_kit import picky_things

with bf.Engine(sys.argv[1], picky_things(), workers=1) as engine:
    engine.start()
    print("ready", flush=True)
    sys.stdin.read()
"""

# Each query selects what must not be there.
BROKEN = {
    "a run that is there twice": "SELECT number FROM things.runs GROUP BY ALL HAVING count(*) > 1",
    "a run that isn't where its log ends": """
        SELECT r.seq, r.version, r.status, log FROM things.runs AS r LEFT JOIN (
            SELECT seq, count(*) AS moves, max(version) AS version,
                   arg_max(to_status, version) AS at
            FROM things.transitions GROUP BY seq) AS log USING (seq)
        WHERE r.version - 1 IS DISTINCT FROM log.moves OR r.version IS DISTINCT FROM log.version
           OR r.status IS DISTINCT FROM log.at""",
    "a log without its run": "FROM things.transitions ANTI JOIN things.runs USING (seq)",
    "an error without its run": "FROM things.errors ANTI JOIN things.runs USING (seq)",
    "a run that failed, and isn't there with its error": """
        SELECT number FROM (SELECT 1000 * range + 7 AS number FROM range($loaded // 1000))
        ANTI JOIN (FROM things.runs SEMI JOIN things.errors USING (seq)
                   WHERE run_state = 'PAUSED') USING (number)""",
    "a run that is unfinished, and hasn't failed": """
        SELECT number FROM things.runs WHERE status <> 'DONE' AND number % 1000 <> 7""",
}


@pytest.mark.alone
def test_another_process_asks_throughout_a_drain_of_a_million_runs(path: Path) -> None:
    runs = 1_000_000
    with bf.Engine(path, things(), workers=2) as engine:
        asking = begin(ASK_UNTIL_DONE, path, runs)
        assert asking.stdout.readline() == "ready\n"
        load(engine, runs)
        report = engine.run()
        ended = asking.end()

    assert report.count("DONE") == runs
    assert ended.code == 0, ended.output
    assert sum(map(int, ended.output.split())) >= 20, ended.output


def test_runs_are_removed_beside_an_engine_of_another_process_and_none_is_lost(path: Path) -> None:
    moving = begin(MOVE_UNTIL_TOLD, path, Path(__file__).parent)
    assert moving.stdout.readline() == "ready\n"
    loaded, removed = 0, 0
    with bf.connect(path) as client:
        for runs in (15_000, 1_000, 10_000, 1_000, 8_000):
            load(client, runs, first=loaded)
            loaded += runs
            removed += _removed(client, "number % 2 = 0")
            removed += _removed(client, None)
            client.trigger(f"one of {loaded}", Thing(-loaded))
        while client.runs("run_state NOT IN ('COMPLETED', 'PAUSED')").limit(1).fetchall():
            removed += _removed(client, None)

        left = len(client.runs())
        assert removed > 0
        assert left + removed == loaded + 5
        for what, query in BROKEN.items():
            bound = {"loaded": loaded} if "$loaded" in query else None
            assert not client.sql(query, bound).limit(5).fetchall(), what
    assert moving.end() == Ended(0, "")


def _removed(client: bf.StoreClient, where: str | None) -> int:
    pruned = client.prune(timedelta(0), where)
    # Only finished runs are removed, and each of them moved twice without an error.
    assert (pruned.transitions, pruned.errors) == (2 * pruned.runs, 0)
    return pruned.runs
