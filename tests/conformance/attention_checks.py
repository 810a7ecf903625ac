"""What methods of attention promise on every kind of model: the rows of a rollout, or the documented error."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
from conformance.zoo import Case

from keras_arch.core import walk
from keras_arch.explain.attention.attention_maps import attention_maps
from keras_arch.explain.attention.attention_rollout import AttentionRollout
from keras_arch.explain.attention.gradient_attention_rollout import GradientAttentionRollout


def look(case: Case) -> keras.Layer | None:
    """The one attention layer of a model, or None."""
    found = [layer for _, layer in walk.walk(case.model) if isinstance(layer, keras.layers.MultiHeadAttention)]
    return found[0] if found else None


def refused(case: Case, explain: Callable) -> bool:
    """Whether a model has no attention; then it is refused with the documented error."""
    if look(case) is not None:
        return False
    with pytest.raises(ValueError, match="model must have an attention layer"):
        explain()
    return True


def weights_by_hand(case: Case) -> np.ndarray:
    """(N, H, T, T) of the layer, called by hand on what it is given."""
    layer = look(case)
    before = keras.Model(case.model.inputs[0], layer.input[0] if isinstance(layer.input, list) else layer.input)(case.x)
    return keras.ops.convert_to_numpy(layer(before, before, return_attention_scores=True)[1])


def check_attention_rollout(name: str, case: Case) -> None:
    method = AttentionRollout(query="mean")
    if refused(case, lambda: method.explain(case.model, case.x, case.target)):
        refused(case, lambda: attention_maps(case.model, case.x))
        return
    want = weights_by_hand(case)
    (maps,) = attention_maps(case.model, case.x).weights.values()
    np.testing.assert_allclose(maps, want, rtol=1e-5, atol=1e-6)
    got = method.explain(case.model, case.x, case.target)
    rows = 0.5 * np.eye(want.shape[-1]) + 0.5 * want.mean(1)
    np.testing.assert_allclose(got.values[..., 0], rows.mean(1), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got.predictions, keras.ops.convert_to_numpy(case.model(case.x)), rtol=1e-4, atol=1e-6)


def check_gradient_attention_rollout(name: str, case: Case) -> None:
    method = GradientAttentionRollout(query="mean")
    if refused(case, lambda: method.explain(case.model, case.x, case.target)):
        return
    got = method.explain(case.model, case.x, case.target)
    assert got.values.shape == (*case.x.shape[:2], 1)
    assert got.values.min() >= 0
    assert got.values.max() > 0
    np.testing.assert_allclose(got.predictions, keras.ops.convert_to_numpy(case.model(case.x)), rtol=1e-4, atol=1e-6)


CHECKS: dict[str, Callable[[str, Case], None]] = {
    "AttentionRollout": check_attention_rollout,
    "GradientAttentionRollout": check_gradient_attention_rollout,
}
