"""The texts of this project avoid words and turns that it once used wrongly.

The texts are the docstrings, comments and messages of ``batchflow``, and the documentation.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import batchflow

ROOT = Path(__file__).parents[2]

WORDS = {
    r"(?<!user )(?<!users )(?<!people )(?<!veryone )who(m|ever)?\b": "it, or name the process",
    r"(no|some|any)body\b": "no run, another process, you",
    r"heed(s|ed)?\b": "check, follow",
    r"(told|tells?|telling)\b": "return, state, report, request",
    r"(said|saying)\b": "stated, or name the value",
    r"dear (to|as)\b": "expensive",
    r"by the set\b": "in bulk",
    r"needn't\b": "doesn't have to",
    r"all the same\b": "anyway",
    r"at work\b": "running",
    r"in good order\b|(ends?|stops?) in order\b": "cleanly, gracefully",
    r"by way of\b": "through, with",
    r"(are|is)n't to\b": "must not",
    r"(wind|winds|winding) down\b": "request stop",
    r"(convict(s|ed|ing)?|cradle|unborn)\b": "identify, temporary folder",
    r"lets? go\b|let alone\b": "leave, close",
}
"""Patterns that begin at a word's start, with what to write instead."""

OPENINGS = {
    r"Answers? ": "Return",
    r"(Say|Hear) ": "Return, Report, State, Record",
    r"Have (the|a|an) ": "the verb of what happens",
    r"(What|Whatever|Who|Whoever|Where) ": "the subject first, or an imperative",
}
"""Patterns at the beginning of a docstring, with what to write instead."""

_WORD = re.compile(
    "|".join(rf"(?P<w{n}>\b(?:{word}))" for n, word in enumerate(WORDS)), re.IGNORECASE
)
_OPENING = re.compile("|".join(rf"(?:{opening})" for opening in OPENINGS))
_TEXTS = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", tokenize.STRING)}


class Finding(NamedTuple):
    path: str
    line: int
    words: str


def findings_in_code(path: Path) -> Iterator[Finding]:
    source = path.read_text(encoding="utf-8")
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _TEXTS:
            continue
        yield from _findings(str(path), token.start[0], token.string)
        opening = re.match(r'[a-z]*"""', token.string)
        if opening and (match := _OPENING.match(token.string, opening.end())):
            yield Finding(str(path), token.start[0], match.group())


def findings_on_page(path: Path) -> Iterator[Finding]:
    text = path.read_text(encoding="utf-8")
    # Names of tests are checked where they are defined; code keeps its lines' numbers.
    prose = re.sub(r"`[^`\n]*`", "", text)
    yield from _findings(str(path.relative_to(ROOT)), 1, prose)


def _findings(name: str, first_line: int, text: str) -> Iterator[Finding]:
    for match in _WORD.finditer(text):
        yield Finding(name, first_line + text.count("\n", 0, match.start()), match.group())


CODE = sorted(Path(batchflow.__file__).parent.rglob("*.py"))
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted(ROOT.glob("docs/*.md")),
    *sorted(ROOT.glob("*/README.md")),
]


def shown(found: Iterable[Finding]) -> list[str]:
    return [f"{each.path}:{each.line}: {each.words}" for each in found]


def test_the_code_is_in_plain_english() -> None:
    assert shown(found for path in CODE for found in findings_in_code(path)) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_is_in_plain_english(page: Path) -> None:
    assert shown(findings_on_page(page)) == []


def test_wrong_words_and_openings_are_found(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text('"""What it asks."""\n# Nobody.\nx = f"It tells {1}."\nwho = 1\n')
    assert [(each.line, each.words) for each in findings_in_code(module)] == [
        *((1, "What "), (2, "Nobody"), (3, "tells")),
    ]

    text = "Whoever asks is told; nobody heeds it, all the same"
    assert [each.words for each in _findings("page", 1, text)] == [
        *("Whoever", "told", "nobody", "heeds", "all the same"),
    ]
    assert list(_findings("page", 1, "The user who runs it retells nothing.")) == []
