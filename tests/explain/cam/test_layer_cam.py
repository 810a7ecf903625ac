"""LayerCAM against loops."""

import numpy as np
import pytest
from oracles import class_activation, torch_twin
from oracles.keras_maps import features_and_gradient

from keras_arch.explain.cam.hi_res_cam import HiResCAM
from keras_arch.explain.cam.layer_cam import LayerCAM

pytestmark = pytest.mark.backend


def test_raw_maps_equal_loops():
    model, x, classes = torch_twin.keras_net("tanh"), torch_twin.images(3), [2, 0, 1]
    want = class_activation.layer_cam(*features_and_gradient(model, x, classes))
    got = LayerCAM(relu=False, interpolation=None).explain(model, x, classes).values[..., 0]
    np.testing.assert_allclose(got, want, atol=1e-5 * np.abs(want).max())
    assert not np.allclose(got, HiResCAM(relu=False, interpolation=None).explain(model, x, classes).values[..., 0])


def test_after_a_relu_no_map_is_negative():
    got = LayerCAM(relu=False).explain(torch_twin.keras_net("relu"), torch_twin.images(3), [2, 0, 1])
    assert got.values.min() >= 0
    assert got.values.max() > 0
