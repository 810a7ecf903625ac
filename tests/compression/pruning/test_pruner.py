"""Pruning in loops of one's own, and at once."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from oracles import pruning as oracle

from keras_arch.compression import ConstantSchedule, PolynomialSchedule, Pruner, prune

pytestmark = pytest.mark.backend


def network():
    return keras.Sequential([keras.Input((6,)), layers.Dense(5, name="body"), layers.Dense(4, name="head")])


def kernels(model):
    return [layer.kernel.numpy() for layer in model.layers]


@pytest.mark.parametrize("sparsity", [0.0, 0.3, 0.5, 0.9])
def test_pruning_at_once_removes_the_smallest_of_each_layer(sparsity):
    model = network()
    before = kernels(model)
    report = prune(model, sparsity)
    for old, new in zip(before, kernels(model), strict=True):
        np.testing.assert_array_equal(new, np.where(oracle.smallest(np.abs(old), round(sparsity * old.size)), 0, old))
    assert report.zeros == round(sparsity * 30) + round(sparsity * 20)


def test_pruning_at_once_ranks_all_layers_together():
    model = network()
    model.layers[1].kernel.assign(ops.multiply(model.layers[1].kernel, 100.0))
    report = prune(model, 0.5, scope="global")
    assert [layer.zeros for layer in report.layers] == [25, 0]


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_a_layer_may_end_at_a_sparsity_of_its_own(scope):
    model = network()
    report = prune(model, 0.6, scope=scope, overrides={"head": 0.2})
    assert [layer.zeros for layer in report.layers] == [18, 4]


def test_on_the_way_a_layer_keeps_its_proportion_to_the_others():
    model = network()
    schedule = PolynomialSchedule(0.0, 0.8, begin_step=0, end_step=4, every=1, power=1)
    pruner = Pruner(model, schedule, overrides={"head": 0.4, "body": 0.9})
    seen = []
    with pruner.hold(keras.optimizers.SGD()):
        for step in range(6):
            pruner.update(step)
            seen.append([int((kernel == 0).sum()) for kernel in kernels(model)])
    assert seen == [[round(0.9 * s * 30), round(0.4 * s * 20)] for s in (0, 0.25, 0.5, 0.75, 1, 1)]
    pruner.prune(0.95)  # beyond the schedule's end
    assert [int((kernel == 0).sum()) for kernel in kernels(model)] == [27, 8]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"overrides": {"tail": 0.5}}, "overrides must name a layer|overrides='tail'"),
        ({"overrides": {"head": 0.5}, "targets": ["body"]}, "overrides must name layers that are pruned: body"),
        ({"overrides": {"head": 1.0}}, r"overrides\['head'\] must be a number in \[0, 1\)"),
        ({"overrides": ["head"]}, "overrides must map names of layers to sparsities"),
        ({"overrides": {"head": 0.5}, "schedule": lambda step: (True, 0.5)}, "schedule must say where it ends"),
    ],
)
def test_overrides_that_mean_nothing_are_refused(settings, message):
    model = network()
    before = model.get_weights()
    settings = {"schedule": ConstantSchedule(0.5), **settings}
    with pytest.raises(ValueError, match=message):
        Pruner(model, **settings)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_pruning_at_once_leaves_biases_and_other_layers():
    model = network()
    before = model.get_weights()
    prune(model, 0.5, targets=["head"])
    after = model.get_weights()
    for index in (0, 1, 3):
        np.testing.assert_array_equal(before[index], after[index])


def test_a_kept_zero_stays_exactly_zero_when_pruned_at_once():
    model = keras.Sequential([keras.Input((6,)), layers.Dense(5, kernel_initializer="zeros")])
    prune(model, 0.5)
    np.testing.assert_array_equal(model.layers[0].kernel.numpy(), 0)


def test_any_callable_ranks():
    model = network()
    weights = [np.arange(30.0, dtype="float32").reshape(6, 5), np.arange(20.0, dtype="float32").reshape(5, 4)]
    prune(model, 0.5, criterion=lambda variable: -weights[0] if variable.shape == (6, 5) else weights[1])
    body, head = kernels(model)
    assert np.count_nonzero(body[3:]) == 0
    assert np.count_nonzero(head[:2]) == 0
    assert np.count_nonzero(head) == 10


def test_infinite_scores_are_kept_before_all_finite_ones():
    model = network()
    first = [np.inf] + [1.0] * 4
    prune(model, 0.9, criterion=lambda variable: np.broadcast_to(first[: variable.shape[1]], variable.shape))
    assert [np.count_nonzero(kernel[:, 0]) for kernel in kernels(model)] == [3, 2]


def test_a_loop_of_ones_own_follows_the_schedule():
    model = network()
    sgd = keras.optimizers.SGD(0.1)
    schedule = PolynomialSchedule(0.0, 0.8, begin_step=2, end_step=8, every=2)
    pruner = Pruner(model, schedule)
    gradients = [ops.ones(variable.shape) for variable in model.trainable_variables]
    for step in range(12):
        with pruner.hold(sgd):
            changed = pruner.update(step)
            sgd.apply(gradients, model.trainable_variables)
        update_now, sparsity = schedule(step)
        assert changed == update_now
        assert [oracle.zeros(kernel) for kernel in kernels(model)] == [round(sparsity * 30), round(sparsity * 20)]
        assert "apply" not in vars(sgd)
    assert pruner.sparsity == 0.8


def test_a_criterion_that_fails_in_the_middle_leaves_whole_masks():
    model = network()
    calls = []

    def criterion(variable):
        calls.append(variable)
        return ops.abs(variable) * (float("nan") if len(calls) == 4 else 1.0)

    pruner = Pruner(model, ConstantSchedule(0.5), criterion)
    before = kernels(model)
    with pytest.raises(ValueError, match="received NaN for head/kernel"):
        pruner.update(0)
    for old, new in zip(before, kernels(model), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_pattern_decides_what_goes_together():
    class Rows:
        def units(self, scores):
            return scores.sum(axis=1)

        def weights(self, units, shape):
            return np.broadcast_to(units[:, None], shape)

    model = network()
    before = kernels(model)
    prune(model, 0.5, pattern=Rows())
    for old, new in zip(before, kernels(model), strict=True):
        gone = oracle.smallest(np.abs(old).sum(axis=1), round(0.5 * old.shape[0]))
        np.testing.assert_array_equal(new, np.where(gone[:, None], 0, old))


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, float("nan"), "half", True])
def test_a_sparsity_out_of_range_is_refused_and_leaves_the_weights(sparsity):
    model = network()
    before = model.get_weights()
    with pytest.raises(ValueError, match="sparsity must be a number"):
        prune(model, sparsity)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
