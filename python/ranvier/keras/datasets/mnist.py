"""Handwritten digits: `(x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()`."""

from __future__ import annotations

from ranvier.data.mnist import Arrays, load_idx


def load_data(path: str = "mnist.npz") -> tuple[Arrays, Arrays]:
    """70,000 digits of 28 x 28 pixels, 0 to 255.

    Parameters
    ----------
    path : str
        Accepted for Keras' sake. Where the files come from: see `ranvier.data.mnist.load_idx`.

    Returns
    -------
    ((60000, 28, 28), (60000,)), ((10000, 28, 28), (10000,))
        uint8 arrays of images and labels, for training and for test.
    """
    return load_idx("mnist")
