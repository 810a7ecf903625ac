"""The layer under test and its inputs."""

import keras
import numpy as np
import pytest
from oracles.scaling_layer import Scaling

from keras_arch.testing.layer.subject import Case, Subject, policy_scope

pytestmark = pytest.mark.backend


def subject(*arguments, **options) -> Subject:
    return Subject(Case(*arguments, **options), None)


def test_inputs_have_the_structure_of_the_shapes():
    assert subject(Scaling, {}, (2, 3)).inputs.shape == (2, 3)
    assert [x.shape for x in subject(keras.layers.Add, {}, [(2, 3), (2, 1)]).inputs] == [(2, 3), (2, 1)]
    named = subject(
        Scaling, {}, {"query_shape": (2, 3), "value": (2, 4)}, input_dtype={"query_shape": "int32", "value": "bool"}
    )
    assert {name: (x.shape, str(x.dtype)) for name, x in named.inputs.items()} == {
        "query": ((2, 3), "int32"),
        "value": ((2, 4), "bool"),
    }


def test_integers_are_drawn_from_0_to_3():
    assert set(np.unique(subject(Scaling, {}, (40, 5), input_dtype="int32").inputs)) == {0, 1, 2, 3}


def test_given_data_stand_in_for_drawn():
    given = np.arange(6.0).reshape(2, 3)
    assert subject(Scaling, {}, (2, 3), input_data=given).inputs is given
    named = subject(Scaling, {}, {"a": (2, 3), "b": (2, 3)}, input_data={"a": given}).inputs
    assert np.array_equal(named["a"], given)
    assert not np.array_equal(named["b"], given)


def test_a_shape_that_is_none_is_refused():
    with pytest.raises(
        ValueError, match="input_shape must be a shape, a list of shapes, or a dict of shapes; received input_shape=3"
    ):
        _ = subject(Scaling, {}, 3).inputs


def test_the_reference_is_moved_off_its_initial_values_and_twins_follow():
    one = subject(Scaling, {}, (2, 3))
    (weight,) = one.reference.get_weights()
    assert np.all(weight != 2.0)
    assert np.array_equal(one.twin().get_weights()[0], weight)
    np.testing.assert_allclose(one.outputs, one.inputs * weight, rtol=1e-6)


def test_axes_that_may_vary():
    one = subject(Scaling, {}, (2, 5, 3))
    assert one.dynamic_axes(one.inputs) == (0, 1)
    assert one.other_sizes().shape == (3, 4, 3)
    tokens = subject(Scaling, {}, (2, 2), input_dtype="int32")
    assert tokens.dynamic_axes(tokens.inputs) == (0, 1)
    assert tokens.other_sizes().shape == (3, 3)
    fixed = subject(Scaling, {}, (2, 5, 3), dynamic_axes=(0,))
    assert fixed.functional(fixed.make(), dynamic=True).input_shape == (None, 5, 3)


def test_variables_come_back_after_a_call_that_changes_them():
    one = subject(keras.layers.BatchNormalization, {}, (4, 3))
    with one.unchanged(one.reference):
        one.compute(one.reference, training=True)
        assert np.any(one.reference.moving_mean.numpy() != 0.0)
    assert np.all(one.reference.moving_mean.numpy() == 0.0)


def test_the_global_policy_comes_back():
    before = keras.config.dtype_policy().name
    with policy_scope("mixed_bfloat16"):
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
    assert keras.config.dtype_policy().name == before


def test_noise_is_told_from_an_idle_seed_generator():
    assert subject(keras.layers.Dropout, {"rate": 0.5}, (2, 8)).is_noisy
    assert not subject(keras.layers.Dropout, {"rate": 0.0}, (2, 8)).is_noisy
    assert not subject(Scaling, {}, (2, 8)).is_noisy
