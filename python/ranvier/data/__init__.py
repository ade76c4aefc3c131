"""Data that comes with the package: small, real, and stated with source and terms.

Nothing is downloaded here, and nothing is preprocessed beyond a change of scale.
"""

from __future__ import annotations

from ranvier.data.digits import load_digits

__all__ = ["load_digits"]
