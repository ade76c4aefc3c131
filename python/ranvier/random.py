"""Seeds and states of the generator, under PyTorch's and TensorFlow's names for the place.

`ranvier.random.manual_seed(0)` is `ranvier.manual_seed(0)`; `tf.random.set_seed(0)` is the same.
"""

from __future__ import annotations

from ranvier._random import (
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)

__all__ = ["get_rng_state", "initial_seed", "manual_seed", "seed", "set_rng_state", "set_seed"]

set_seed = manual_seed
