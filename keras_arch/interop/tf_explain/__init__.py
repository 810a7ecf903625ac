"""The interface of tf-explain 0.3.1 over the engine of `keras_arch.explain`: change `tf_explain` to this in an import.

Classes, callbacks, arguments and defaults are those of tf-explain, and so are the pictures, on models on which it
works; neither it nor OpenCV is needed. Where it departs from the papers it names, a class warns once and says which
method of `keras_arch.explain` follows them: those return numbers, pictures are drawn from them apart.

Beyond it, layers inside nested models are reached, images may have one channel, and `GradCAM` finds its layer on
Keras 3 too.
"""

from keras_arch.interop.tf_explain import callbacks, core

__all__ = ["callbacks", "core"]
