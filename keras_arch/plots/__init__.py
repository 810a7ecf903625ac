"""Pictures of results, as matplotlib figures without global state."""

from keras_arch.plots.gallery import gallery
from keras_arch.plots.overlay import overlay

__all__ = ["gallery", "overlay"]
