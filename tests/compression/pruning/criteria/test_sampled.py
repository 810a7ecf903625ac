"""What criteria with samples share: checks at the door, and being values."""

import copy

import keras
import numpy as np
import pytest

from keras_arch import callbacks, compression
from keras_arch.compression.pruning.criteria import SNIP, Taylor
from keras_arch.compression.pruning.criteria.sampled import Sampled

pytestmark = pytest.mark.backend
X, Y = np.ones((6, 2), "float32"), np.ones((6, 1), "float32")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((X, Y[:5]), r"x and y must hold equally many samples; received arrays of \[6, 5\] samples. Cut them"),
        (({"a": X, "b": X[:5]}, Y), r"received arrays of \[6, 5, 6\] samples"),
        ((X[:0], Y[:0]), r"x must hold at least one sample, .*received shape \(0, 2\). Pass x\[:1\]"),
        ((X, np.float32(1.0)), r"y must hold at least one sample, .*received shape \(\)"),
        ((X, None), "y must be an array, or a list, tuple or dict of arrays; received y=None"),
        (([], Y), r"x must hold at least one array; received x=\[\]"),
        (([1.0, 2.0], Y[:2]), "x must be an array, .*received x=1.0. Convert numbers by np.asarray"),
        ((iter([(X, Y)]), Y), "x must be an array, .*of a dataset take one large batch"),
        ((X, Y, "mean_cubed_error"), "loss must be None, a Keras identifier or a callable .*received loss='mean_cubed"),
        ((X, Y, 3), r"loss must be None, a Keras identifier or a callable \(y_true, y_pred\); received loss=3"),
        ((X, Y, keras.losses.MeanSquaredError), "loss must be None, .*received loss=the class keras"),
        ((X, Y, None, 0), "batch_size must be an integer >= 1; received batch_size=0"),
    ],
)
def test_arguments_are_checked_at_the_door(arguments, message):
    with pytest.raises(ValueError, match=message):
        Sampled(*arguments)


@pytest.mark.parametrize("kind", [Taylor, SNIP])
def test_they_are_values(kind):
    one = kind({"a": X, "b": X}, Y, "mse", 8)
    for same in (kind({"a": X.copy(), "b": X}, Y.copy(), "mse", 8), copy.deepcopy(one)):
        assert one == same
        assert hash(one) == hash(same)
    for other in (
        kind({"a": X, "b": 2 * X}, Y, "mse", 8),
        kind(X, Y, "mse", 8),
        kind({"a": X, "b": X}, Y, "mae", 8),
        kind({"a": X, "b": X}, Y, "mse", 9),
        (SNIP if kind is Taylor else Taylor)({"a": X, "b": X}, Y, "mse", 8),
        "taylor",
    ):
        assert one != other
    wanted = "(x={'a': array(6, 2), 'b': array(6, 2)}, y=array(6, 1), loss='mse', batch_size=8)"
    assert repr(one) == kind.__name__ + wanted
    with pytest.raises(AttributeError):
        one.batch_size = 3


@pytest.mark.parametrize("criterion", ["taylor", "Taylor", Taylor])
@pytest.mark.parametrize("where", [callbacks.Pruning, lambda s, c: compression.Pruner(network(), s, c)])
def test_a_name_is_not_enough(criterion, where):
    message = r"criterion must be an object where it needs data; received criterion=.*[tT]aylor'?. Pass Taylor\(x, y\)"
    with pytest.raises(ValueError, match=message):
        where(compression.ConstantSchedule(0.5), criterion)


def network():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])


def weights(model):
    return [weight.copy() for weight in model.get_weights()]


@pytest.mark.parametrize("kind", [Taylor, SNIP])
def test_pruner_refuses_a_model_without_a_loss_and_gradients_that_are_nan(kind):
    model = network()
    before = weights(model)
    with pytest.raises(ValueError, match="loss must be given for a model that was compiled without one"):
        compression.prune(model, 0.5, criterion=kind(X, Y))
    broken = np.where(np.arange(6)[:, None] == 5, np.nan, X).astype("float32")
    with pytest.raises(ValueError, match="criterion must return scores that can be ranked; received NaN for dense"):
        compression.prune(model, 0.5, criterion=kind(broken, Y, "mse"))
    for was, now in zip(before, weights(model), strict=True):
        np.testing.assert_array_equal(was, now)
