"""``batchflow rehearse``."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import PARCELS, Command, document

FIXED = PARCELS.replace('raise ZeroDivisionError("it can\'t be weighed")', "pass")


def test_a_fix_is_shown_then_stored(on_own_store: Command, tmp_path: Path) -> None:
    (tmp_path / "fixed_pipeline.py").write_text(FIXED)
    rehearse = ("rehearse", "fixed_pipeline.py:parcels", "--workers", 0)
    paused = ("--where", "run_state = 'PAUSED'")

    shown = document(on_own_store(*rehearse, *paused, "--json"))
    assert (shown["runs"], shown["same"]) == (1, 0)
    [move] = shown["matrix"]
    assert (move["from_state"], move["to_status"], move["runs"]) == ("paused", "SENT", 1)
    assert document(on_own_store("runs", *paused, "--json")) != []


def test_what_was_shown_is_stored(own_parcels: Path, command: Command, tmp_path: Path) -> None:
    (tmp_path / "fixed_pipeline.py").write_text(FIXED)

    stored = command(
        "rehearse", "fixed_pipeline.py:parcels", "--store", own_parcels, "--workers", 0,
        "--where", "run_state = 'PAUSED'", "--reset", "weight=2", "--promote",
    )  # fmt: skip

    assert stored.returncode == 0, stored.stderr
    assert stored.stdout.endswith("1 run promoted.\n")
    assert "weight changes in 1 run" in stored.stdout


def test_a_function_stands_in_for_a_step_with_side_effects(
    own_parcels: Path, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "effects_pipeline.py").write_text(
        FIXED.replace("ParcelStatus.NEW, to=[", "ParcelStatus.NEW, side_effects=True, to=[")
        + "\n\ndef as_heavy(run):\n    run.object.weight = 77\n"
        + "    return ParcelStatus.CHECKED\n"
    )
    rehearse = (
        "rehearse", "effects_pipeline.py:parcels", "--store", own_parcels, "--workers", 0,
        "--where", "run_state = 'PAUSED'", "--at", "NEW",
    )  # fmt: skip
    stand_in = ("--stand-in", "check=effects_pipeline.py:as_heavy")

    refused = command(*rehearse)
    assert "in its place with --stand-in, or end before it with --until NEW" in refused.stderr
    shown = document(command(*rehearse, *stand_in, "--json"))
    [changed] = [each for each in shown["fields"] if each["field"] == "weight"]
    assert changed["samples"][0][2] == "77"
    stored = command(*rehearse, *stand_in, "--promote")
    assert "Leave out --promote, or --stand-in." in stored.stderr


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--reset", "weight"], "--reset needs FIELD=SQL"),
        (["--stand-in", "check"], "Give a step and the function that is called in its place"),
        (["--stand-in", "check=fixed_pipeline.py:none"], "fixed_pipeline.py has no function"),
        (["--stand-in", "check=fixed_pipeline.py:check"] * 2, "names the step 'check' twice"),
        (["--stand-in", "buy=fixed_pipeline.py:check"], "The stand-in for 'buy' is no step"),
    ],
)
def test_an_impossible_rehearsal_is_one_sentence(
    own_parcels: Path, command: Command, tmp_path: Path, given: list[str], message: str
) -> None:
    (tmp_path / "fixed_pipeline.py").write_text(FIXED)

    refused = command(
        "rehearse", "fixed_pipeline.py:parcels", "--store", own_parcels, "--where", "true", *given
    )  # fmt: skip

    assert refused.returncode in (2, 3)
    assert message in refused.stderr
