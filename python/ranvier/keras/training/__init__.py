"""How Keras' compile and fit become a task of the one training loop in `ranvier.training`."""
