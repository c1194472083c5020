"""Turn any exception of a step into a record of bounded size, without ever failing."""

from __future__ import annotations

import collections
import itertools
import linecache
import os
import re
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from types import CodeType, TracebackType
from typing import Final, TypeVar

from batchflow.columns.class_names import qualified_class_name, storable
from batchflow.credentials import without_credentials
from batchflow.definition.cause import Cause, Place, Raised, cause_of, place_of
from batchflow.definition.placeholders import with_placeholders, without_numbers
from batchflow.definition.retry import Retry
from batchflow.definition.step import Step
from batchflow.errors import StepAbandoned

MESSAGE_CHARACTERS: Final = 2_000
_SEARCHED_CHARACTERS: Final = 2 * MESSAGE_CHARACTERS
TRACEBACK_CHARACTERS: Final = 16_000
_FRAMES_AT_EACH_END: Final = 20
_MOST_CAUSES: Final = 5
_MOST_PARTS: Final = 3
_MOST_SHOWN: Final = 12
_MOST_NOTES: Final = 10
_MOST_LOOKED_AT: Final = 1_000
_MOST_REMEMBERED: Final = 512
_NAME_CHARACTERS: Final = 300
_OUR_FOLDERS: Final = tuple(
    os.path.join(os.path.dirname(os.path.dirname(__file__)), folder, "")
    for folder in ("worker", "view", "columns", "chunk")
)
_VALUES = re.compile(r"\d+|'[^']*'|\"[^\"]*\"")

# A class may override these attributes, and raise; the interpreter's own descriptors can't.
_MODULE: Final = type.__dict__["__module__"].__get__
_CAUSE: Final = BaseException.__dict__["__cause__"].__get__
_CONTEXT: Final = BaseException.__dict__["__context__"].__get__
_SUPPRESSES: Final = BaseException.__dict__["__suppress_context__"].__get__
_TRACEBACK: Final = BaseException.__dict__["__traceback__"].__get__
_PARTS: Final = BaseExceptionGroup.__dict__["exceptions"].__get__

# What links an exception to the next one in a traceback; the first two are the interpreter's own.
_CAUSED: Final = "The above exception was the direct cause of the following exception:"
_HANDLED: Final = "During handling of the above exception, another exception occurred:"
_GROUPED: Final = "The above exception is part of the following group:"

Line = tuple[CodeType, int]
_Causes = collections.OrderedDict[tuple[str, ...], Cause]
KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


@dataclass(frozen=True, slots=True)
class Failure:
    """Hold the record of an exception.

    ``fingerprint`` is the same for exceptions of one type from one place, whatever their messages.
    ``retryable`` is true if the run is tried again, and false if it is paused at once.
    """

    type: str
    message: str
    traceback: str
    fingerprint: str
    retryable: bool
    cause: Cause


@dataclass(frozen=True, slots=True)
class _Shown:
    """An exception of a traceback, and its link to the next one."""

    error: BaseException
    link: str = ""


@dataclass(frozen=True, slots=True)
class _Known:
    """The record of exceptions from the same places, as far as it is the same.

    Attributes:
        frames: The text of the frames of each of them.
        fingerprint: The fingerprint of the last.
        causes: The causes by the messages without numbers.
        causes_by_words: The causes by the messages with placeholders.
    """

    frames: list[str]
    fingerprint: str
    causes: _Causes = field(default_factory=collections.OrderedDict)
    causes_by_words: _Causes = field(default_factory=collections.OrderedDict)


class FailureRecorder:
    """Record the exceptions of one step.

    A million runs may fail alike, and formatting a traceback takes longer than most steps. So the
    text of the frames is cached by their places in the code.

    Args:
        retry: The step's policy.
        function: The step's function, which is the place of errors about its answer.
    """

    def __init__(self, retry: Retry, function: object = None) -> None:
        self._retry = retry
        self._function = getattr(function, "__code__", None)
        self._known: collections.OrderedDict[tuple[object, ...], _Known] = collections.OrderedDict()

    def record(self, error: BaseException) -> Failure:
        """Return the record of `error`, with all that can be found out, or at least its class."""
        try:
            return self._record(error)
        except BaseException as second:
            # There is hardly any memory or stack left, or the exception's own code fails.
            name = qualified_class_name(error)
            message = f"<it can't be described: {qualified_class_name(second)}>"
            return Failure(
                type=name,
                message=message,
                traceback=f"{name}: {message}",
                fingerprint=fingerprint_of([name]),
                retryable=True,
                cause=cause_of(Raised(name, message)),
            )

    def _record(self, error: BaseException) -> Failure:
        message = _message(error)
        shown = _errors_to_show(error)
        known = self._known_of([one.error for one in shown], message)
        last_lines = _last_lines(error, message)
        before = "".join(
            f"{frame}{_last_lines(one.error, _own_message(one.error))}\n\n{one.link}\n\n"
            for frame, one in zip(known.frames, shown[:-1], strict=False)
        )
        return Failure(
            type=qualified_class_name(error),
            message=message,
            traceback=_end_of(before + known.frames[-1], TRACEBACK_CHARACTERS - len(last_lines))
            + last_lines,
            fingerprint=known.fingerprint,
            retryable=self._retry.retries(type(error)),
            cause=self._cause(error, known, message, alone=len(shown) == 1),
        )

    def _known_of(self, errors: list[BaseException], message: str) -> _Known:
        places = tuple((qualified_class_name(one), *_places(one)) for one in errors)
        # Without a frame, only the words of the message distinguish two failures.
        words = None if len(places[-1]) > 1 else _VALUES.sub("", message)
        key = (places, words)
        known = self._known.get(key)
        if known is None:
            known = _Known([_frames_text(one) for one in errors], _fingerprint(errors[-1], words))
            _remember(self._known, key, known)
        return known

    def _cause(self, error: BaseException, known: _Known, message: str, *, alone: bool) -> Cause:
        chain = [error] if alone else list(_chain(error))
        messages = (message, *map(_own_message, chain[1:]))
        key = tuple(map(without_numbers, messages))
        cause = known.causes.get(key)
        if cause is None:
            # Ids with letters differ in the key.
            own = tuple(map(with_placeholders, messages))
            cause = known.causes_by_words.get(own) or self._new_cause(chain, messages)
            _remember(known.causes_by_words, own, cause)
            _remember(known.causes, key, cause)
        return cause

    def _new_cause(self, chain: list[BaseException], messages: tuple[str, ...]) -> Cause:
        raised = [_raised(one, text) for one, text in zip(chain, messages, strict=True)]
        if raised[0].place is None and isinstance(self._function, CodeType):
            place = _place(self._function, self._function.co_firstlineno)
            raised[0] = replace(raised[0], place=place)
        return cause_of(*raised)


def _remember(known: collections.OrderedDict[KeyT, ValueT], key: KeyT, value: ValueT) -> None:
    known[key] = value
    if len(known) > _MOST_REMEMBERED:
        known.popitem(last=False)


def _errors_to_show(error: BaseException) -> list[_Shown]:
    """Return the causes of the error and the first parts of groups, and the error as the last."""
    shown = []
    for one in _linked_chain(error):
        for part in _first_parts(one.error):
            *causes, last = _linked_chain(part)
            shown += [*causes, _Shown(last.error, _GROUPED)]
        shown.append(one)
    return shown[-_MOST_SHOWN:]


def _linked_chain(error: BaseException) -> list[_Shown]:
    """Return the causes of the error, oldest first, and the error itself as the last."""
    newer: BaseException | None = None
    linked = []
    for one in _chain(error):
        link = "" if newer is None else _CAUSED if _CAUSE(newer) is one else _HANDLED
        linked.append(_Shown(one, link))
        newer = one
    return linked[::-1]


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, then the ones that it was raised from or while handling, newest first."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen and len(seen) < _MOST_CAUSES:
        seen.add(id(one))
        yield one
        cause = _CAUSE(one)
        one = cause if cause is not None or _SUPPRESSES(one) else _CONTEXT(one)


def _first_parts(error: BaseException) -> list[BaseException]:
    """Return the first exceptions of a group at any depth, leaving out the groups themselves."""
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


def _places(error: BaseException) -> list[Line]:
    """Return the places of the user's frames, the first ones and the last ones."""
    steps = _users_frames(_TRACEBACK(error))
    first = list(itertools.islice(steps, _FRAMES_AT_EACH_END))
    return first + list(collections.deque(steps, maxlen=_FRAMES_AT_EACH_END))


def _users_frames(step: TracebackType | None) -> Iterator[Line]:
    while step is not None:
        code = step.tb_frame.f_code
        if not code.co_filename.startswith(_OUR_FOLDERS):
            yield code, step.tb_lineno
        step = step.tb_next


def _raised(error: BaseException, message: str) -> Raised:
    places = [_place(code, line) for code, line in _places(error)]
    return Raised(qualified_class_name(error), message, place_of(places))


def _place(code: CodeType, line: int) -> Place:
    return Place(
        file=without_credentials(_short(code.co_filename)),
        function=_short(code.co_name),
        line=line,
        source=without_credentials(_line(code, line)),
    )


def _frames_text(error: BaseException) -> str:
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
    text = "Traceback (most recent call last):\n" + "".join(traceback.format_list(summaries))
    return without_credentials(text)


def _last_lines(error: BaseException, message: str) -> str:
    """Return the lines of a traceback after its frames: the class, the message and the notes."""
    name = qualified_class_name(error)
    lines = [f"{name}: {message}" if message else name, *_notes(error)]
    return storable("\n".join(lines), TRACEBACK_CHARACTERS)


def _notes(error: BaseException) -> list[str]:
    try:
        notes = list(itertools.islice(getattr(error, "__notes__", ()), _MOST_NOTES))
        return [_shown_text(str.__str__(note)) for note in notes]
    except BaseException:
        # The attribute may be anything, and its class may raise.
        return []


def _fingerprint(error: BaseException, words: str | None) -> str:
    parts = [str(_MODULE(type(error))), qualified_class_name(error), words or ""]
    for code, line in _places(error):
        text = _line(code, line) or str(line - code.co_firstlineno)
        parts += [os.path.basename(code.co_filename), code.co_name, text]
    return fingerprint_of(parts)


def fingerprint_of(parts: list[str]) -> str:
    """Return the fingerprint of the failures that have these texts in common."""
    import hashlib

    digest = hashlib.blake2b("\0".join(parts).encode("utf-8", "replace"), digest_size=6)
    return digest.hexdigest()


def _line(code: CodeType, line: int) -> str:
    try:
        return _short(linecache.getline(code.co_filename, line).strip())
    except ValueError:
        # Generated code may claim a file name that isn't valid.
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
    except BaseException as second:
        return f"<no message: its __str__ raised {qualified_class_name(second)}>"
    return _shown_text(text)


def _shown_text(text: str) -> str:
    """Return the beginning of a text, without the passwords of URLs, also of one that is cut."""
    return storable(without_credentials(text[:_SEARCHED_CHARACTERS]), MESSAGE_CHARACTERS)


def _short(text: str) -> str:
    return storable(text, _NAME_CHARACTERS)


def _end_of(text: str, characters: int) -> str:
    """Return the end of the text, cut at the front: the last frames matter most."""
    return "…" + text[len(text) - characters + 1 :] if len(text) > characters else text


def abandoned(step: Step) -> StepAbandoned:
    """Return the error of a call that is under way when the time for a stop is over."""
    return StepAbandoned(
        f"Step {step.name!r} was still executing when the time for the stop was over. Find out "
        "where it hangs, give it a timeout_seconds, or have it check stopping."
    )
