"""Kill coordinators and workers repeatedly, and compare the result with what is expected.

python tests/crash/crash_driver.py --kills=100 --deaths=300
python tests/crash/crash_driver.py --seed=17:3    repeat one round, as far as scheduling allows
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import resource
import select
import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import crash_expectations
from crash_count import Count
from crash_expectations import Ends
from crash_processes import ResultChild, adopt_orphans
from crash_round import Round

RUNS = 400
MOST_PROBLEMS = 10


def main() -> int:
    given = parsed()
    # Processes that are aborted on purpose leave no core dumps.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="crash-driver-") as folder:
        count = driven(given, Path(folder))
    count.numbers["seconds"] = round(time.monotonic() - began)
    print(f"\n{count.table()}")
    if given.counts:
        counts = {"kills": count.kills, "deaths": count.deaths, "problems": count.problems}
        given.counts.write_text(json.dumps(counts))
    return 1 if count.problems else 0


def driven(given: argparse.Namespace, folder: Path) -> Count:
    """Play rounds until there are enough deaths or too many problems, or one round by its seed."""
    count = Count()
    # In a child process, because no process may be forked once DuckDB has started threads.
    expected = ResultChild(partial(crash_expectations.undisturbed, RUNS), folder).result()
    seed = given.seed or str(random.SystemRandom().randrange(10**6))
    if ":" in seed:
        return played(seed, expected, folder)
    print(f"--seed={seed}", flush=True)
    seeds = (f"{seed}:{number}" for number in itertools.count())
    playing: list[ResultChild[Count]] = []
    while playing or not enough(count, 0, given):
        while len(playing) < given.jobs and not enough(count, len(playing), given):
            playing.append(started(next(seeds), expected, folder))
        [ready, *_], _, _ = select.select(playing, [], [])
        playing.remove(ready)
        count.add(ready.result())
    return count


def enough(count: Count, playing: int, given: argparse.Namespace) -> bool:
    """Return whether no further round is needed, or there are too many problems already."""
    failed = len(count.problems) >= MOST_PROBLEMS
    return failed or count.foresees(playing, given.kills, given.deaths)


def started(seed: str, expected: Ends, folder: Path) -> ResultChild[Count]:
    return ResultChild(partial(played, seed, expected, folder), folder)


def played(seed: str, expected: Ends, folder: Path) -> Count:
    adopt_orphans()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=folder) as own:
        count = Round(seed, expected, Path(own)).play()
        if count.problems:
            kept = shutil.copytree(own, tempfile.mkdtemp(prefix="crash-kept-"), dirs_exist_ok=True)
            count.problems.append(f"its folder is kept as {kept}")
    seconds = time.monotonic() - began
    killed = f"{count.kills.total()} coordinators and {count.deaths.total()} workers died"
    print(f"--seed={seed}: {killed} in {seconds:.1f} s", *count.problems, sep="\n  ", flush=True)
    return count


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100, help="the least number of coordinators")
    parser.add_argument("--deaths", type=int, default=300, help="the least number of workers")
    parser.add_argument("--jobs", type=int, default=3, help="rounds at the same time")
    parser.add_argument("--seed", help="the seed of all rounds, or of one round as it was printed")
    parser.add_argument("--counts", type=Path, help="a JSON file for the counts of the table")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
