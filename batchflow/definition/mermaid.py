"""A workflow's graph as the text of a Mermaid diagram."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from batchflow.definition.graph import StatusGraph

# Keywords of Mermaid, which can't be the id of a state.
_KEYWORDS: Final = frozenset({"as", "class", "classdef", "direction", "end", "note", "state"})


def diagram(graph: StatusGraph, statuses: Sequence[str], steps: Mapping[int, str]) -> str:
    """Return the graph as a ``stateDiagram-v2``, with a line for each edge, as declared.

    Args:
        graph: The statuses and the edges between them.
        statuses: The names of all statuses, by code.
        steps: The names of the steps, by the code of their from status.
    """
    used = sorted(graph.reachable_from(frozenset(graph.edges)))
    ids = [_id(code, name) for code, name in enumerate(statuses)]
    renamed = [code for code in used if ids[code] != statuses[code]]
    lines = [f'state "{_text(statuses[code])}" as {ids[code]}' for code in renamed]
    lines += [f"[*] --> {ids[code]}" for code in sorted(graph.starting)]
    lines += _edges(graph, ids, steps)
    lines += [f"{ids[code]} --> [*]" for code in used if code in graph.terminal]
    return "\n".join(["stateDiagram-v2", *(f"    {line}" for line in lines)]) + "\n"


def _edges(graph: StatusGraph, ids: Sequence[str], steps: Mapping[int, str]) -> Iterator[str]:
    for code in sorted(graph.edges):
        for to in graph.edges[code]:
            yield f"{ids[code]} --> {ids[to]} : {_text(steps[code])}"


def _id(code: int, name: str) -> str:
    if name.isidentifier() and name.isascii() and name.lower() not in _KEYWORDS:
        return name
    return f"status{code}"


def _text(name: str) -> str:
    # Mermaid can't quote other characters.
    return " ".join(re.sub(r"[^\w.()-]", " ", name).split())
