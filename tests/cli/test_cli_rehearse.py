"""``batchflow rehearse``."""

from __future__ import annotations

from pathlib import Path

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


def test_an_impossible_rehearsal_is_one_sentence(own_parcels: Path, command: Command) -> None:
    refused = command(
        "rehearse", "parcel_pipeline.py:parcels", "--store", own_parcels, "--where", "true",
        "--reset", "weight",
    )  # fmt: skip
    assert refused.returncode in (2, 3)
