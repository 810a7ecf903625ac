"""The demo's models take a digit and give ten logits."""

import numpy as np
import pytest

from keras_arch.cli.demo import models


@pytest.mark.parametrize("build", [models.convolutional, models.transformer, models.recurrent])
def test_models_give_ten_finite_logits(build, rng):
    logits = build()(rng.random((3, 8, 8, 1), dtype="float32"))
    assert logits.shape == (3, 10)
    assert np.all(np.isfinite(logits))


def test_the_transformer_sees_the_order_of_rows(rng):
    model = models.transformer()
    image = rng.random((1, 8, 8, 1), dtype="float32")
    assert np.abs(model(image) - model(image[:, ::-1])).max() > 1e-3
