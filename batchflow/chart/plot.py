"""A drawn chart, for a notebook or for a file."""

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
# A separate file follows the reader's colour scheme. On a page, the colours are the page's.
_FILE_STYLE: Final = (
    f"<style>:root{{color:{INK};background:{PAPER}}}@media (prefers-color-scheme:dark)"
    "{:root{color:#e6edf3;background:#0d1117}}</style>"
)


class Plot:
    """A chart of a query result, which a notebook shows in the colours of its page.

    Attributes:
        figure: The matplotlib figure, which you can change further.
    """

    def __init__(self, figure: Figure, title: str) -> None:
        self.figure = figure
        self._title = title

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the plot to an ``.svg`` or ``.png`` file; an existing file is replaced.

        Raises:
            PlotError: The file's name has another suffix.
            OSError: The file can't be written.
        """
        target = Path(path)
        target.write_bytes(self.encoded(target.suffix))

    def encoded(self, suffix: str) -> bytes:
        """Return the contents of a file with this suffix.

        Raises:
            PlotError: The suffix is none of ``SUFFIXES``.
        """
        match suffix:
            case ".svg":
                return self.svg(standalone=True).encode()
            case ".png":
                return self.png()
            case _:
                raise PlotError(
                    f"The name of the file ends with {suffix!r}. "
                    f"A plot can be written as {' or '.join(SUFFIXES)}."
                )

    def svg(self, *, standalone: bool = False) -> str:
        """Return the plot as an ``svg`` element; ``standalone`` adds colours for a file."""
        import matplotlib

        written = io.StringIO()
        # Text stays text, so it can be searched and copied. Equal plots have equal ids.
        with (
            matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "batchflow"}),
            warnings.catch_warnings(),
        ):
            # The reader's font has the characters that matplotlib's font lacks.
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            self.figure.savefig(written, format="svg", transparent=True, metadata=_UNDATED)
        text = _METADATA.sub("", _BEFORE_SVG.sub("", written.getvalue(), count=1))
        text = text.replace(INK, "currentColor")
        head, angle, rest = text.partition(">")
        return f"{head}{angle}{_FILE_STYLE if standalone else ''}{rest}"

    def png(self) -> bytes:
        """Return the plot as a PNG image on white."""
        written = io.BytesIO()
        self.figure.savefig(written, format="png", dpi=_DOTS_PER_INCH, facecolor=PAPER)
        return written.getvalue()

    def __repr__(self) -> str:
        return f"<Plot {self._title!r}>"

    def _repr_html_(self) -> str:
        return f'<div style="overflow-x:auto">{self.svg()}</div>'
