"""What keeps a prepared model from becoming an integer file, said before anything is converted."""

import keras

from keras_arch.compression.quantization.phase import prepared_layers


def require_exportable(model: keras.Model) -> None:
    """Raise unless LiteRT can run the schemes of every layer of a prepared model.

    Args:
        model: what `keras_arch.compression.quantize` returned.
    Raises:
        ValueError: naming the first layer whose kernels or activations LiteRT cannot run, and why.

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> require_exportable(ka.compression.quantize(model))
    """
    for path, layer in prepared_layers(model):
        schemes = [("activations", layer.activations_scheme)]
        if layer.kernels:
            schemes.append(("weights", layer.weights_scheme))
        for argument, scheme in schemes:
            reason = scheme.unexportable()
            if reason is not None:
                raise ValueError(
                    f"{argument} must have a scheme that LiteRT runs to be exported; layer {path!r} has {reason}. "
                    f"Prepare the model with quantize(model, {argument}=8), or exclude the layer."
                )
