"""Programs: traced once, following the weights, holding nobody."""

import gc
import threading
import weakref

import keras
import numpy as np
import pytest

from keras_arch.explain import GradCAM, IntegratedGradients

L = keras.layers


class Counting(L.Layer):
    """Counts how often Python runs through it: once per trace or eager call."""

    def __init__(self, **options):
        super().__init__(**options)
        self.runs = 0

    def call(self, inputs):
        self.runs += 1
        return inputs


def counted_net():
    counter = Counting()
    body = [L.Conv2D(3, 3, bias_initializer="random_normal"), L.GlobalAveragePooling2D(), counter, L.Dense(4)]
    return keras.Sequential([keras.Input((6, 6, 1)), *body]), counter


def test_a_new_class_or_batch_of_the_same_shape_costs_no_trace(rng):
    model, counter = counted_net()
    x = rng.normal(size=(2, 6, 6, 1))
    for method in (IntegratedGradients(steps=2), GradCAM()):
        method.explain(model, x, 0)
        traced = counter.runs
        method.explain(model, x + 1, 3)
        method.explain(model, x, [1, 2])
        assert counter.runs == traced


def test_a_function_as_target_is_traced_once_and_held_weakly(rng):
    model, counter = counted_net()
    x = rng.normal(size=(2, 6, 6, 1))

    class Margin:
        def between(self, outputs):
            return outputs[:, 0] - outputs[:, 1]

    margin = Margin()
    got = GradCAM(relu=False).explain(model, x, margin.between)
    want = [GradCAM(relu=False).explain(model, x, k).values for k in (0, 1)]
    np.testing.assert_allclose(got.values, want[0] - want[1], atol=1e-6)
    traced = counter.runs
    GradCAM(relu=False).explain(model, x, margin.between)
    assert counter.runs == traced
    other = GradCAM(relu=False).explain(model, x, lambda outputs: outputs[:, 1] - outputs[:, 0])
    np.testing.assert_allclose(other.values, -got.values, atol=1e-6)
    gone = weakref.ref(margin)
    del margin
    gc.collect()
    assert gone() is None


def test_a_target_that_cannot_be_held_weakly_is_refused(rng):
    class Unhashable:
        __hash__ = None

        def __call__(self, outputs):
            return outputs[:, 0]

    with pytest.raises(ValueError, match="target must be hashable .* lambda outputs: target"):
        GradCAM().explain(counted_net()[0], rng.normal(size=(1, 6, 6, 1)), Unhashable())


def test_a_model_is_freed_although_it_was_explained(rng):
    model = counted_net()[0]
    x = rng.normal(size=(2, 6, 6, 1))
    for method in (IntegratedGradients(steps=2), GradCAM(), IntegratedGradients(steps=2, layer="conv2d")):
        method.explain(model, x)
    gone = weakref.ref(model), weakref.ref(model.layers[0])
    del model
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


def test_training_shows_in_the_next_explanation(rng):
    model, _ = counted_net()
    x, y = rng.normal(size=(8, 6, 6, 1)), rng.normal(size=(8, 4))
    method = IntegratedGradients(steps=8)
    before = method.explain(model, x, 1)
    model.compile(keras.optimizers.SGD(0.5), "mse")
    model.fit(x, y, epochs=2, verbose=0)
    after = method.explain(model, x, 1)
    assert np.abs(after.values - before.values).max() > 1e-3
    np.testing.assert_allclose(after.scores, model(x).numpy()[:, 1], rtol=1e-5)
    fresh = keras.models.clone_model(model)
    fresh.set_weights(model.get_weights())
    np.testing.assert_allclose(after.values, method.explain(fresh, x, 1).values, rtol=1e-4, atol=1e-7)


def test_a_changed_stack_of_layers_is_compiled_anew(rng):
    model = keras.Sequential([keras.Input((3,)), L.Dense(4, activation="tanh"), L.Dense(2)])
    x = rng.normal(size=(2, 3))
    assert IntegratedGradients().explain(model, x).predictions.shape == (2, 2)
    model.pop()
    got = IntegratedGradients().explain(model, x)
    np.testing.assert_allclose(got.predictions, model(x), rtol=1e-6)


def test_layers_are_restored_also_after_an_error(rng):
    model, _ = counted_net()
    x = rng.normal(size=(1, 6, 6, 1))
    with pytest.raises(ValueError, match="must return one, two or three axes"):
        GradCAM(layer="dense").explain(model, x)
    GradCAM().explain(model, x)
    assert not [layer.name for layer in model.layers if {"call", "quantized_call"} & set(vars(layer))]


def test_threads_that_tap_one_layer_get_what_one_thread_gets(rng):
    model, _ = counted_net()
    inputs = [rng.normal(size=(2, 6, 6, 1)) for _ in range(4)]
    found = {}

    def work(place):
        method = GradCAM(interpolation=None, relu=False) if place % 2 else IntegratedGradients(steps=2, layer="conv2d")
        found[place] = method.explain(model, inputs[place], place)

    threads = [threading.Thread(target=work, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for place, attribution in found.items():
        again = attribution.method.explain(model, inputs[place], place)
        np.testing.assert_allclose(attribution.values, again.values, rtol=1e-5, atol=1e-7)
    assert len(found) == 4
