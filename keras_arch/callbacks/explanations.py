"""Explanations of a few samples while `fit` trains."""

import io
import os
import weakref
from collections.abc import Sequence
from typing import Any

import keras

from keras_arch import explain
from keras_arch.core import check, identifiers
from keras_arch.explain.attribution import Attribution
from keras_arch.explain.method import Method
from keras_arch.plots import heat as heats
from keras_arch.plots.overlay import overlay
from keras_arch.plots.samples import sample


class Explanations(keras.callbacks.Callback):
    """Explains the same samples again and again while the model learns, and shows the maps in TensorBoard.

    For each method an image series "explanations/<method>" is written: before the first epoch and after every
    `every`-th one, at the number of finished optimizer steps. Pictures and heat maps are stored apart, so that
    TensorBoard's opacity slider blends them; inputs that are no pictures are drawn as bars. The model and its
    training are not touched; each method costs one trace in the first epoch.

    What was written is on disk at once. The file is closed at the end of `fit`, on an exception in this callback, or,
    after an exception elsewhere, when the callback is used again or dropped.

    Args:
        methods: one method of `keras_arch.explain` or several, as objects or string ids such as "grad_cam".
        samples: what to explain, as in `Method.explain`; a handful.
        target: as in `Method.explain`; None explains what the model predicts at that time.
        log_dir: directory for TensorBoard.
        every: epochs from one explanation to the next, >= 1.
        output: as in `Method.explain`.
    Raises:
        ValueError: here, or when `fit` begins if the samples or the target do not fit the model.

    >>> import tempfile
    >>> model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3), keras.layers.Flatten(),
    ...                           keras.layers.Dense(2)])
    >>> model.compile("sgd", "mse")
    >>> x, y = np.ones((4, 8, 8, 1)), np.ones((4, 2))
    >>> explanations = ka.callbacks.Explanations([ka.explain.GradCAM()], x[:2], log_dir=tempfile.mkdtemp())
    >>> history = model.fit(x, y, epochs=1, callbacks=[explanations], verbose=0)
    >>> explanations.tags
    ('explanations/GradCAM',)
    """

    def __init__(
        self,
        methods: Method | str | Sequence[Method | str],
        samples: Any,
        target: Any = None,
        log_dir: str | os.PathLike[str] = "logs",
        every: int = 1,
        output: str = "model",
    ) -> None:
        super().__init__()
        given = [methods] if isinstance(methods, Method | str) else list(methods)
        self.methods = [identifiers.resolve("methods", method, explain) for method in given]
        for method in self.methods or [None]:
            if not isinstance(method, Method):
                advice = "Pass for example [keras_arch.explain.GradCAM()]."
                raise check.refuse("methods", "must be methods of keras_arch.explain", method, advice)
        self.samples = samples
        self.target = target
        self.log_dir = log_dir
        self.every = check.integer("every", every)
        self.output = output
        self._close = weakref.finalize(self, lambda: None)

    @property
    def tags(self) -> tuple[str, ...]:
        """Names of the image series, one per method; methods of one kind are numbered."""
        names = [type(method).__name__ for method in self.methods]
        counts = [names[:place].count(name) for place, name in enumerate(names)]
        return tuple(
            f"explanations/{name}{f'_{count + 1}' if count else ''}" for name, count in zip(names, counts, strict=True)
        )

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Check samples and target against the model, and show the state before training."""
        from keras_arch.tensorboard import EventWriter

        self._close()
        self._writer = EventWriter(self.log_dir)
        self._close = weakref.finalize(self, self._writer.close)
        self._write()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Explain the samples with the weights of now."""
        if (epoch + 1) % self.every == 0:
            self._write()

    def on_train_end(self, logs: dict | None = None) -> None:
        """Close the event file."""
        self._close()

    def _write(self) -> None:
        try:
            step = int(keras.ops.convert_to_numpy(self.model.optimizer.iterations))
            for method, tag in zip(self.methods, self.tags, strict=True):
                attribution = method.explain(self.model, self.samples, self.target, output=self.output)
                self._writer.images(tag, step=step, **_pictures(attribution))
        except BaseException:
            self._close()
            raise


def _pictures(attribution: Attribution) -> dict[str, list]:
    """Arguments of `EventWriter.images`: PNG files and labels."""
    from keras_arch.tensorboard import encode_png

    rows = [sample(attribution, index) for index in range(len(attribution))]
    labels = [row.title for row in rows]
    if not rows[0].is_map:
        return {"pngs": [_figure(attribution, index) for index in range(len(rows))], "labels": labels}
    signed = any(heats.is_signed(row.heat) for row in rows)
    return {
        "pngs": [encode_png(heats.picture(row.image)) for row in rows],
        "heat": [encode_png(heats.colors(row.heat, signed=signed)) for row in rows],
        "labels": labels,
    }


def _figure(attribution: Attribution, index: int) -> bytes:
    with io.BytesIO() as file:
        overlay(attribution, index=index, title="").figure.savefig(file, format="png")
        return file.getvalue()
