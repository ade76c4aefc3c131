"""A run of Keras' fit in a process of its own, to be killed: its hash is the last line it prints.

python keras_child.py PATH EPOCHS
"""

from __future__ import annotations

import hashlib
import sys

import numpy as np
from checkpoint_child import Slow

import ranvier as rv
from ranvier import keras

L = keras.layers


def main(path: str, epochs: int) -> None:
    keras.utils.set_random_seed(5)
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(203, 8)).astype(np.float32), rng.integers(0, 4, 203)
    model = keras.Sequential(
        [keras.Input((8,)), L.Dense(16, "relu"), L.BatchNormalization(), L.Dropout(0.25),
         L.Dropout(0.1, seed=3), L.Dense(4, "softmax")]
    )  # fmt: skip
    schedule = keras.optimizers.schedules.CosineDecay(0.01, 13 * epochs)
    model.compile(keras.optimizers.AdamW(schedule), "sparse_categorical_crossentropy",
                  metrics=["accuracy"])  # fmt: skip
    history = model.fit(
        X, y, batch_size=16, epochs=epochs, validation_split=0.1, verbose=0,
        callbacks=[Slow(), keras.callbacks.EarlyStopping(patience=1000)],
        checkpoint=rv.Checkpoint(path, every=5, keep=2),
    )  # fmt: skip
    state = hashlib.blake2b(repr(history.history).encode())
    for array in model.get_weights():
        state.update(array.tobytes())
    state.update(repr(rv.rand(3).tolist()).encode())
    print("end", state.hexdigest(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
