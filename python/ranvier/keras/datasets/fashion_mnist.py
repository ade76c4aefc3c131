"""Pictures of clothes, in the form of MNIST."""

from __future__ import annotations

from ranvier.data.mnist import Arrays, load_idx


def load_data() -> tuple[Arrays, Arrays]:
    """70,000 pictures of 28 x 28 pixels, 0 to 255, of ten kinds of clothes.

    Returns
    -------
    ((60000, 28, 28), (60000,)), ((10000, 28, 28), (10000,))
        uint8 arrays of images and labels, for training and for test.
    """
    return load_idx("fashion-mnist")
