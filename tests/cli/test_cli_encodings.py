from __future__ import annotations

import io
import json
import sys

import pytest

from batchflow.cli.encoding import encodable_json, write_in_any_encoding

TEXT = "┌──┐ 3 µs … PRÜFEN"


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        ("ascii", "+--+ 3 us ... PR?FEN"),
        ("latin-1", "+--+ 3 µs ... PRÜFEN"),
        ("utf-8", TEXT),
    ],
)
def test_characters_that_an_encoding_lacks_are_replaced(
    monkeypatch: pytest.MonkeyPatch, encoding: str, expected: str
) -> None:
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(io.BytesIO(), encoding=encoding))
    write_in_any_encoding()
    for stream in (sys.stdout, sys.stderr):
        print(TEXT, end="", file=stream, flush=True)
        assert stream.buffer.getvalue().decode(encoding) == expected  # type: ignore[attr-defined]


def test_json_keeps_its_values_in_any_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    value = {"name": "PRÜFEN 😀"}
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    write_in_any_encoding()
    text = encodable_json(json.dumps(value, ensure_ascii=False))
    assert text.isascii()
    assert json.loads(text) == value


def test_streams_without_an_encoding_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    write_in_any_encoding()
    assert encodable_json("ü") == "ü"
