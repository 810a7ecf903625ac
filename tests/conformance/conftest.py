"""What the tests that Keras ships need, to be run from here."""


def pytest_configure(config):
    config.addinivalue_line("markers", "requires_trainable_backend: a mark in Keras's own tests")
