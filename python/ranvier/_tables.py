"""Tables and sentences in plain text, no wider than they may be. Knows nothing of what they say."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH = 80
_GAP = 2


def table(rows: Sequence[Sequence[str]], right: int = 1, width: int = WIDTH) -> list[str]:
    """Lines of a table, of which the first row is the heading.

    Parameters
    ----------
    rows : sequence of sequence of str
        All of one length.
    right : int
        How many columns, at the end, are aligned to the right; they are not cut while others can.
    width : int
        Of a line. The widest column gives way until the table fits.
    """
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    left = len(widths) - right
    room = max(width - _GAP * (len(widths) - 1), len(widths))
    while sum(widths) > room:
        part = widths[:left] if any(w > 2 for w in widths[:left]) else widths
        widths[widths.index(max(part))] -= 1
    lines = [_line(row, widths, left)[:width] for row in rows]
    rule = "-" * min(sum(widths) + _GAP * (len(widths) - 1), width)
    return [lines[0], rule, *lines[1:], rule]


def _line(row: Sequence[str], widths: Sequence[int], left: int) -> str:
    cells = [
        _cut(text, width).ljust(width) if i < left else _cut(text, width).rjust(width)
        for i, (text, width) in enumerate(zip(row, widths, strict=True))
    ]
    return (" " * _GAP).join(cells).rstrip()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else (text[: max(width - 2, 0)] + "..")[:width]


def wrapped(sentence: str, width: int = WIDTH) -> list[str]:
    """Lines of a sentence; those behind the first are indented."""
    import textwrap  # not needed by a mere `import ranvier`

    return textwrap.wrap(sentence, max(width, 10), subsequent_indent="  ")


def bytes_of(n: int) -> str:
    """A number of bytes, in a unit that suits it."""
    if n < 1000:
        return f"{n} bytes"
    power = min((len(str(n)) - 1) // 3, 3)
    return f"{n / 1000**power:.1f} {('KB', 'MB', 'GB')[power - 1]}"
