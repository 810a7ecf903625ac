"""Real TensorBoard parts around a log directory, in this process: the slow data provider and the WSGI application."""

import warnings

from tensorboard.plugins import base_plugin

from keras_arch.tensorboard.plugin import SAMPLES, KerasArchLoader


def load(log_dir):
    """TensorBoard's own data provider of the slow loading mode, read to the end."""
    from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer

    multiplexer = plugin_event_multiplexer.EventMultiplexer(tensor_size_guidance=dict(SAMPLES))
    multiplexer.AddRunsFromDirectory(str(log_dir))
    multiplexer.Reload()
    return data_provider.MultiplexerDataProvider(multiplexer, str(log_dir))


def application(log_dir):
    """TensorBoard's whole application with our plugin: routes, content policy, plugin listing."""
    with warnings.catch_warnings():
        # TensorBoard carries an html5lib that warns when it is imported; nothing of ours uses it.
        warnings.filterwarnings("ignore", message="html5lib's sanitizer is deprecated", category=DeprecationWarning)
        from tensorboard.backend import application

    source = load(log_dir)
    plugin = KerasArchLoader().load(base_plugin.TBContext(data_provider=source))
    return application.TensorBoardWSGI([plugin], data_provider=source)
