"""Turn whatever a step raised into a record of bounded size, and never fail doing so."""

from __future__ import annotations

import collections
import hashlib
import itertools
import linecache
import os
import re
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from types import CodeType, TracebackType
from typing import Final

from batchflow.columns.class_names import qualified_class_name, storable
from batchflow.definition.retry import Retry

MESSAGE_CHARACTERS: Final = 2_000
TRACEBACK_CHARACTERS: Final = 16_000
_FRAMES_AT_EACH_END: Final = 20
_MOST_CAUSES: Final = 5
_MOST_PARTS: Final = 3
_MOST_LOOKED_AT: Final = 1_000
_MOST_REMEMBERED: Final = 512
_NAME_CHARACTERS: Final = 300
_OUR_FOLDERS: Final = tuple(
    os.path.join(os.path.dirname(os.path.dirname(__file__)), folder, "")
    for folder in ("worker", "chunk")
)
_VALUES = re.compile(r"\d+|'[^']*'|\"[^\"]*\"")

# What an exception says of itself may be anything, or raise; these ask the interpreter.
_MODULE: Final = type.__dict__["__module__"].__get__
_CAUSE: Final = BaseException.__dict__["__cause__"].__get__
_CONTEXT: Final = BaseException.__dict__["__context__"].__get__
_SUPPRESSES: Final = BaseException.__dict__["__suppress_context__"].__get__
_TRACEBACK: Final = BaseException.__dict__["__traceback__"].__get__
_PARTS: Final = BaseExceptionGroup.__dict__["exceptions"].__get__

Place = tuple[CodeType, int]


@dataclass(frozen=True, slots=True)
class Failure:
    """Hold what is kept of an exception.

    ``fingerprint`` is the same for exceptions of one type from one place, whatever their messages;
    ``retryable`` tells whether the run is tried again rather than paused at once.
    """

    type: str
    message: str
    traceback: str
    fingerprint: str
    retryable: bool


class FailureRecorder:
    """Make failures of exceptions, for one step.

    A million runs may fail alike, and formatting a traceback takes longer than most steps: the
    text of the frames is remembered by the places that they stand at.
    """

    def __init__(self, retry: Retry) -> None:
        self._retry = retry
        self._known: collections.OrderedDict[tuple[object, ...], tuple[str, str]] = (
            collections.OrderedDict()
        )

    def record(self, error: BaseException) -> Failure:
        """Return what is kept of `error`: all that can be had, or at least its class."""
        try:
            return self._record(error)
        except BaseException as trouble:
            # There is hardly any memory or stack left, or it is no exception, for all it says.
            name = qualified_class_name(error)
            told = f"<nothing can be told of it: {qualified_class_name(trouble)}>"
            return Failure(name, told, f"{name}: {told}", _fingerprint_of([name]), retryable=True)

    def _record(self, error: BaseException) -> Failure:
        name = qualified_class_name(error)
        message = _message(error)
        frames, fingerprint = self._frames(error, message)
        last_line = f"{name}: {message}" if message else name
        return Failure(
            type=name,
            message=message,
            traceback=_end_of(frames, TRACEBACK_CHARACTERS - len(last_line)) + last_line,
            fingerprint=fingerprint,
            retryable=self._retry.retries(type(error)),
        )

    def _frames(self, error: BaseException, message: str) -> tuple[str, str]:
        told = _told_together(error)
        places = tuple((qualified_class_name(one), *_places(one)) for one in told)
        # Without a frame, the message's words are all that tells two failures apart.
        words = None if len(places[-1]) > 1 else _VALUES.sub("", message)
        key = (places, words)
        known = self._known.get(key)
        if known is None:
            known = _frames_text(told), _fingerprint(told, words)
            self._known[key] = known
            if len(self._known) > _MOST_REMEMBERED:
                self._known.popitem(last=False)
        return known


def _told_together(error: BaseException) -> list[BaseException]:
    """Return the error last, before it the first of its parts, and what all that came from."""
    chain = list(_chain(error))
    parts = [part for one in chain for part in _first_parts(one)]
    return [*reversed(chain[1:]), *parts, error]


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, then what it was raised from or while handling, newest first."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen and len(seen) < _MOST_CAUSES:
        seen.add(id(one))
        yield one
        cause = _CAUSE(one)
        one = cause if cause is not None or _SUPPRESSES(one) else _CONTEXT(one)


def _first_parts(error: BaseException) -> list[BaseException]:
    """Return the first exceptions in a group, however deep in it, that are no groups themselves."""
    parts: list[BaseException] = []
    waiting = [error] if issubclass(type(error), BaseExceptionGroup) else []
    for _ in range(_MOST_LOOKED_AT):
        if not waiting or len(parts) == _MOST_PARTS:
            break
        one = waiting.pop()
        if issubclass(type(one), BaseExceptionGroup):
            waiting.extend(reversed(_PARTS(one)[:_MOST_LOOKED_AT]))
        else:
            parts.append(one)
    return parts


def _places(error: BaseException) -> list[Place]:
    """Return where each frame of the user's stands, the first ones and the last ones."""
    steps = _users_frames(_TRACEBACK(error))
    first = list(itertools.islice(steps, _FRAMES_AT_EACH_END))
    return first + list(collections.deque(steps, maxlen=_FRAMES_AT_EACH_END))


def _users_frames(step: TracebackType | None) -> Iterator[Place]:
    while step is not None:
        code = step.tb_frame.f_code
        if not code.co_filename.startswith(_OUR_FOLDERS):
            yield code, step.tb_lineno
        step = step.tb_next


def _frames_text(told: list[BaseException]) -> str:
    others = [f"{_one_text(one)}{qualified_class_name(one)}\n\n" for one in told[:-1]]
    return _end_of("".join([*others, _one_text(told[-1])]), TRACEBACK_CHARACTERS)


def _one_text(error: BaseException) -> str:
    places = _places(error)
    if not places:
        return ""
    summaries = [
        traceback.FrameSummary(
            _short(code.co_filename),
            line,
            _short(code.co_name),
            lookup_line=False,
            line=_line(code, line),
        )
        for code, line in places
    ]
    return "Traceback (most recent call last):\n" + "".join(traceback.format_list(summaries))


def _fingerprint(told: list[BaseException], words: str | None) -> str:
    error = told[-1]
    parts = [str(_MODULE(type(error))), qualified_class_name(error), words or ""]
    for code, line in _places(error):
        text = _line(code, line) or str(line - code.co_firstlineno)
        parts += [os.path.basename(code.co_filename), code.co_name, text]
    return _fingerprint_of(parts)


def _fingerprint_of(parts: list[str]) -> str:
    digest = hashlib.blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=6)
    return digest.hexdigest()


def _line(code: CodeType, line: int) -> str:
    try:
        return _short(linecache.getline(code.co_filename, line).strip())
    except ValueError:
        # Generated code may say that it stands in a file whose name can't be one.
        return ""


def _message(error: BaseException) -> str:
    parts = "; ".join(
        f"{qualified_class_name(part)}: {_own_message(part)}" for part in _first_parts(error)
    )
    own = _own_message(error)
    return storable(f"{own}: {parts}" if parts else own, MESSAGE_CHARACTERS)


def _own_message(error: BaseException) -> str:
    try:
        text = str.__str__(str(error))
    except BaseException as trouble:
        return f"<no message: its __str__ raised {qualified_class_name(trouble)}>"
    return storable(text, MESSAGE_CHARACTERS)


def _short(text: str) -> str:
    return storable(text, _NAME_CHARACTERS)


def _end_of(text: str, characters: int) -> str:
    """Return the end of the text, cut at the front: what failed last tells the most."""
    return "…" + text[len(text) - characters + 1 :] if len(text) > characters else text
