"""A picture that was drawn, for a notebook's page or for a file."""

from __future__ import annotations

import io
import os
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final

from batchflow.chart.ink import INK, PAPER
from batchflow.errors import PlotError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES: Final = (".svg", ".png")

_DOTS_PER_INCH: Final = 150
_UNDATED: Final = {"Date": None, "Creator": None, "Format": None, "Type": None}
_BEFORE_SVG: Final = re.compile(r"\A.*?(?=<svg)", re.DOTALL)
_METADATA: Final = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
# In a file of its own it looks like the reader's other windows; in a page it has the page's ink.
_ALONE: Final = (
    f"<style>:root{{color:{INK};background:{PAPER}}}@media (prefers-color-scheme:dark)"
    "{:root{color:#e6edf3;background:#0d1117}}</style>"
)


class Plot:
    """A picture of an answer; a notebook shows it, light or dark like its page.

    Attributes:
        figure: what matplotlib drew, to go on with.
    """

    def __init__(self, figure: Figure, title: str) -> None:
        self.figure = figure
        self._title = title

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, by its name an ``.svg`` or a ``.png``; an older one is replaced.

        Raises:
            PlotError: the name is neither.
            OSError: the file can't be written.
        """
        target = Path(path)
        target.write_bytes(self.encoded(target.suffix))

    def encoded(self, suffix: str) -> bytes:
        """Return what a file with this suffix holds.

        Raises:
            PlotError: it is none of ``SUFFIXES``.
        """
        match suffix:
            case ".svg":
                return self.svg(alone=True).encode()
            case ".png":
                return self.png()
            case _:
                raise PlotError(
                    f"A plot is written to a file whose name ends with {' or '.join(SUFFIXES)}, "
                    f"and this one's ends with {suffix!r}."
                )

    def svg(self, *, alone: bool = False) -> str:
        """Return it as an ``svg`` element; ``alone`` makes it fit to be a file of its own."""
        import matplotlib

        written = io.StringIO()
        # Text stays text, to be found and copied; the same picture has the same names within.
        with (
            matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "batchflow"}),
            warnings.catch_warnings(),
        ):
            # What matplotlib's own font lacks, the reader's has.
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            self.figure.savefig(written, format="svg", transparent=True, metadata=_UNDATED)
        text = _METADATA.sub("", _BEFORE_SVG.sub("", written.getvalue(), count=1))
        text = text.replace(INK, "currentColor")
        head, angle, rest = text.partition(">")
        return f"{head}{angle}{_ALONE if alone else ''}{rest}"

    def png(self) -> bytes:
        """Return it as a PNG picture on white."""
        written = io.BytesIO()
        self.figure.savefig(written, format="png", dpi=_DOTS_PER_INCH, facecolor=PAPER)
        return written.getvalue()

    def __repr__(self) -> str:
        return f"<Plot {self._title!r}>"

    def _repr_html_(self) -> str:
        return f'<div style="overflow-x:auto">{self.svg()}</div>'
