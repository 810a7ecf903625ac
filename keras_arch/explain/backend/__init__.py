"""How a model is compiled and differentiated by the backend that Keras runs on."""

from types import ModuleType

import keras


def engine() -> ModuleType:
    """The module that works with the backend of this process. All of them define

    - `tensor(array)` and `array(tensor)`: to the device and back;
    - `is_tensor(thing)`, `trace()` and `belongs(thing, trace)`: whether a tensor is of the trace that is under way;
    - `differentiate(run)`: gradients, see `keras_arch.explain.engine.differentiate`;
    - `following(model, output)`: context manager that gives the function which walks back from an output to its
      logits;
    - `identities(model)`: objects that are others when the model has other weights;
    - `replicas(model)`: over how many devices a chunk is spread;
    - `compiled(work, model, batched, shared, jit_compile)`: a function of such tensors.

    >>> engine().__name__.startswith("keras_arch.explain.")
    True
    """
    name = keras.backend.backend()
    if name == "tensorflow":
        from keras_arch.explain import engine as found
    elif name == "jax":
        from keras_arch.explain.backend import jax as found
    elif name == "torch":
        from keras_arch.explain.backend import torch as found
    else:
        raise RuntimeError(
            f"Explaining takes gradients, and Keras runs on {name!r} in this process. Set KERAS_BACKEND to tensorflow, "
            "jax or torch before Keras is imported; files of `Attribution` can be read and drawn on any backend."
        )
    return found
