from __future__ import annotations

from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

from batchflow.picture import Gap, Happening, timeline
from batchflow.picture.timeline import _MARKS
from batchflow.store.schema.layout import TRANSITION_OUTCOMES

SVG = "{http://www.w3.org/2000/svg}"
NOON = datetime(2030, 5, 6, 12, 0, tzinfo=UTC)


def texts(svg: str) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_each_happening_has_its_moment_its_text_and_its_outcome() -> None:
    drawn = timeline(
        [
            Happening(NOON, "triggered", ""),
            Happening(NOON + timedelta(seconds=90), "failed", "NEW", "ValueError"),
            Happening(NOON + timedelta(seconds=90), "advanced", "NEW → PAID"),
        ]
    )

    assert texts(drawn) == [
        "+1.5 min",
        *("06 May 12:00:00.000", "", "triggered"),
        *("06 May 12:01:30.000", "NEW", "failed: ValueError"),
        *("06 May 12:01:30.000", "NEW → PAID", "advanced"),
    ]


def test_what_is_left_out_is_counted() -> None:
    life = [Happening(NOON, "advanced", "A"), Gap(1_234), Happening(NOON, "advanced", "B")]

    assert "… 1,234 more …" in texts(timeline(life))


def test_each_outcome_has_a_mark_of_its_own() -> None:
    marks = [_MARKS[outcome] for outcome in TRANSITION_OUTCOMES]
    assert len(set(marks)) == len(marks)


def test_what_it_tells_is_no_markup_and_stays_within() -> None:
    hostile = "</text><script>alert(1)</script>" * 20
    drawn = timeline([Happening(NOON, "failed", hostile, hostile)])

    assert "<script" not in drawn
    assert all(len(text) < 120 for text in texts(drawn))
    assert "currentColor" in drawn
