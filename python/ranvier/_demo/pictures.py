"""A picture of few pixels as lines of text: two rows of pixels a line in half blocks, or ASCII.

Knows nothing of what is in the picture.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

_HALVES = " \u2580\u2584\u2588"  # none, upper, lower, both
_SHADES = " .:+#@"


def has_blocks() -> bool:
    """Whether standard output can show half blocks.

    In the C locale Python writes UTF-8 although the terminal may not read it, and puts a UTF-8
    locale of its own into LC_CTYPE: that one says nothing about the terminal.
    """
    names = [os.environ.get(name, "") for name in ("LC_ALL", "LC_CTYPE", "LANG")]
    if names[1] in ("C.UTF-8", "C.utf8", "UTF-8"):
        names[1] = ""
    if "utf" not in next(filter(None, names), "C").lower():
        return False
    try:
        _HALVES.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def draw(pixels: Sequence[Sequence[float]], blocks: bool) -> list[str]:
    """Half as many lines as rows of pixels; a pixel is one character wide.

    Parameters
    ----------
    pixels : (H, W), H even
        0 (background) to 1 (ink).
    blocks : bool
        Half blocks, in which a pixel of half ink or more is set; else shades of ASCII, each the
        mean of two pixels one above the other.
    """
    lines = []
    for upper, lower in zip(pixels[::2], pixels[1::2], strict=True):
        if blocks:
            codes = [(u >= 0.5) + 2 * (w >= 0.5) for u, w in zip(upper, lower, strict=True)]
            lines.append("".join(_HALVES[code] for code in codes))
        else:
            means = [(u + w) / 2 for u, w in zip(upper, lower, strict=True)]
            lines.append("".join(_SHADES[min(int(m * 6), 5)] for m in means))
    return lines
