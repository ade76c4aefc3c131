"""Whole models of the Keras door in files: layers, how they are joined, weights, what compile said.

What is written is plain data; a file from a stranger can name the classes of `keras` and those that
the program has registered, and nothing else. `values.py` has single values, `describing.py` takes a
model apart, `building.py` puts one together, `compiling.py` has what trains it.
"""

from __future__ import annotations
