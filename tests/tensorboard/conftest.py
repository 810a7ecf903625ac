"""Real TensorBoard parts around a log directory: its slow data provider and its WSGI application."""

import warnings

import pytest


@pytest.fixture
def provider():
    """log_dir -> TensorBoard's own data provider of the slow loading mode, read to the end."""
    from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer

    from keras_arch.tensorboard.plugin import SAMPLES

    def load(log_dir, samples=SAMPLES):
        multiplexer = plugin_event_multiplexer.EventMultiplexer(tensor_size_guidance=dict(samples))
        multiplexer.AddRunsFromDirectory(str(log_dir))
        multiplexer.Reload()
        return data_provider.MultiplexerDataProvider(multiplexer, str(log_dir))

    return load


@pytest.fixture
def client(provider):
    """log_dir -> WSGI client of a whole TensorBoard application with our plugin."""
    from werkzeug.test import Client

    with warnings.catch_warnings():
        # TensorBoard carries an html5lib that warns when it is imported; nothing of ours uses it.
        warnings.filterwarnings("ignore", message="html5lib's sanitizer is deprecated", category=DeprecationWarning)
        from tensorboard.backend import application
    from tensorboard.plugins import base_plugin

    from keras_arch.tensorboard.plugin import KerasArchLoader

    def serve(log_dir):
        source = provider(log_dir)
        plugin = KerasArchLoader().load(base_plugin.TBContext(data_provider=source))
        return Client(application.TensorBoardWSGI([plugin], data_provider=source))

    return serve


@pytest.fixture
def picture():
    """(height, width, channels, seed) -> uint8 pixels."""
    import numpy as np

    return lambda *shape, seed=0: np.random.default_rng(seed).integers(0, 256, shape).astype("uint8")
