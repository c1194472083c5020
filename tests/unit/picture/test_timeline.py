from __future__ import annotations

from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

from batchflow.picture import Event, Gap, timeline
from batchflow.picture.timeline import _MARKS
from batchflow.store.schema.layout import TRANSITION_OUTCOMES

SVG = "{http://www.w3.org/2000/svg}"
NOON = datetime(2030, 5, 6, 12, 0, tzinfo=UTC)


def texts(svg: str) -> list[str]:
    return ["".join(each.itertext()) for each in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_each_event_has_its_time_its_text_and_its_outcome() -> None:
    drawn = timeline(
        [
            Event(NOON, "triggered", ""),
            Event(NOON + timedelta(seconds=90), "failed", "NEW", "failed: ValueError"),
            Event(NOON + timedelta(seconds=90), "advanced", "NEW → PAID"),
        ]
    )

    assert texts(drawn) == [
        "+1.5 min",
        *("2030-05-06 12:00:00.000+00", "triggered"),
        *("2030-05-06 12:01:30.000+00", "NEWfailed: ValueError"),
        *("2030-05-06 12:01:30.000+00", "NEW → PAIDadvanced"),
    ]


def test_the_line_is_broken_where_events_are_left_out() -> None:
    before, after = Event(NOON, "advanced", "A"), Event(NOON, "advanced", "B")

    assert "… 1,234 more …" in texts(timeline([before, Gap("… 1,234 more …"), after]))
    assert timeline([before, Gap("…"), after]).count("stroke-dasharray") == 2
    assert "stroke-dasharray" not in timeline([before, after])


def test_each_outcome_has_its_own_mark() -> None:
    marks = [_MARKS[outcome] for outcome in TRANSITION_OUTCOMES]
    assert len(set(marks)) == len(marks)


def test_texts_are_escaped_and_fit_into_the_picture() -> None:
    hostile = "</text>\u202e<script>alert(1)</script>" * 20
    drawn = timeline([Event(NOON, "failed", hostile, hostile)])

    assert "<script" not in drawn
    assert "\u202e" not in drawn
    assert all(len(text) < 120 for text in texts(drawn))
    assert "currentColor" in drawn
