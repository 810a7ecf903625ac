"""Ways to train a small model, and what its zeros must be after each step: of single weights, and of channels."""

import keras
import numpy as np
from keras import layers, ops
from oracles.pruning import polynomial, whole_channels, zeros

from keras_arch import compression

BATCHES, BATCH = 10, 4
SCHEDULE = compression.PolynomialSchedule(0.1, 0.8, begin_step=3, end_step=16, every=3)


def data(rows=BATCHES * BATCH):
    rng = np.random.default_rng(0)
    return rng.normal(size=(rows, 5, 5, 1)).astype("float32"), rng.integers(0, 3, size=rows)


def network(head="glorot_uniform", constraint=None, dtype=None):
    return keras.Sequential(
        [
            keras.Input((5, 5, 1)),
            layers.Conv2D(3, 3, name="conv", dtype=dtype),
            layers.Flatten(),
            layers.Dense(7, activation="tanh", name="body", kernel_constraint=constraint, dtype=dtype),
            layers.Dense(3, name="head", kernel_initializer=head, dtype=dtype),
        ]
    )


def normalized_network(dtype=None):
    """Five filters with a bias, gamma and beta, seven units with a bias; the outputs are nobody's to prune."""
    return keras.Sequential(
        [
            keras.Input((5, 5, 1)),
            layers.Conv2D(5, 3, name="conv", dtype=dtype),
            layers.BatchNormalization(name="norm", dtype=dtype),
            layers.ReLU(dtype=dtype),
            layers.Flatten(),
            layers.Dense(7, activation="tanh", name="body", dtype=dtype),
            layers.Dense(3, name="head", dtype=dtype),
        ]
    )


NETWORKS = {"unstructured": network, "channel": normalized_network}


def build(model=None, optimizer=None, *, optimizer_built=True, **settings):
    """A compiled model; its fit traces its step once, or twice where the optimizer has to make its variables there."""
    model = network() if model is None else model
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer or keras.optimizers.SGD(0.05, momentum=0.9), loss, **settings)
    if model.built and optimizer_built:
        model.optimizer.build(model.trainable_variables)
    return model


def fit(model, *callbacks, epochs=2, **settings):
    x, y = data()
    return model.fit(
        x, y, **({"batch_size": BATCH, "epochs": epochs, "verbose": 0, "callbacks": [*callbacks]} | settings)
    )


def kernels(model):
    """What is pruned by default: factors of LoRA are not, their product would be dense."""
    return [weight for weight in model.trainable_variables if len(weight.shape) >= 2 and "lora" not in weight.name]


def channel_sets(model):
    """For each layer that makes channels which may go: its kernel, and all that dies with them."""
    conv, body = (
        [weight for name in names for weight in model.get_layer(name).trainable_variables]
        for names in (["conv", "norm"], ["body"])
    )
    # `shrink` can't cut the factors of LoRA: what a layer with them reads stays.
    return [conv] if model.get_layer("head").lora_enabled else [conv, body]


def masked_weights(model, pattern="unstructured"):
    if pattern == "unstructured":
        return kernels(model)
    return [weight for weights in channel_sets(model) for weight in weights]


def counts(model, pattern="unstructured"):
    """Zeros of each weight that is masked; channels are dead as a whole, in all their weights."""
    if pattern == "channel":
        for weights in channel_sets(model):
            dead = [whole_channels(weight.numpy()) for weight in weights]
            assert dead == dead[:1] * len(dead), dead
    return [zeros(weight.numpy()) for weight in masked_weights(model, pattern)]


def expected(model, step, pattern="unstructured", schedule=SCHEDULE):
    s = schedule
    held = polynomial(step, s.initial_sparsity, s.final_sparsity, s.begin_step, s.end_step, s.power, s.every) or 0.0
    shapes = [tuple(weight.shape) for weight in masked_weights(model, pattern)]
    if pattern == "unstructured":
        return [round(held * int(np.prod(shape))) for shape in shapes]
    return [round(held * shape[-1]) * int(np.prod(shape[:-1])) for shape in shapes]


def iterations(model):
    return int(ops.convert_to_numpy(model.optimizer.iterations + 0))


class Recorder(keras.callbacks.Callback):
    """Counts the zeros that a user sees after each batch."""

    def __init__(self, pattern="unstructured"):
        super().__init__()
        self.pattern = pattern
        self.seen = []

    def on_train_batch_end(self, batch, logs=None):
        model = self.model
        self.seen.append((iterations(model), counts(model, self.pattern)))

    def differences(self, model, steps=None, schedule=SCHEDULE):
        """(step, seen, expected) where they are not the schedule's, or where one of `steps` was not seen."""
        asked = {step: expected(model, step, self.pattern, schedule) for step, _ in self.seen}
        wrong = [(step, seen, asked[step]) for step, seen in self.seen if seen != asked[step]]
        missed = set() if steps is None else (asked.keys() - {0}) ^ set(steps)
        return wrong + [(step, None, None) for step in sorted(missed)]


def plain(make=network):
    return build(make(), optimizer_built=False)


def compiled(make=network):
    return build(make(), jit_compile=True)


def eager(make=network):
    return build(make(), run_eagerly=True)


def eight_steps_an_execution(make=network):
    return build(make(), steps_per_execution=8)


def float16_with_steps_that_are_skipped(make=network):
    sgd = keras.optimizers.SGD(0.05)
    optimizer = keras.optimizers.LossScaleOptimizer(sgd, initial_scale=2.0**17, dynamic_growth_steps=2)
    return build(make(dtype="mixed_float16"), optimizer)


def bfloat16(make=network):
    return build(make(dtype="mixed_bfloat16"))


def moving_average(make=network):
    return build(make(), keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9), optimizer_built=False)


def moving_average_written_back(make=network):
    sgd = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=4)
    return build(make(), optimizer=sgd)


def accumulated_gradients(make=network):
    return build(make(), optimizer=keras.optimizers.SGD(0.1, gradient_accumulation_steps=2))


def several_optimizers(make=network):
    parts = keras.optimizers.OptimizerMap(keras.optimizers.SGD(0.1))
    parts[".*body.*"] = keras.optimizers.Adam(0.01, use_ema=True)
    return build(make(), optimizer=keras.optimizers.MultiOptimizer(parts))


def fitted_before(make=network):
    model = build(make())
    fit(model, epochs=1)
    model.optimizer.iterations.assign(0)
    return model


def zero_kernels(make=network):
    return build(make(head="zeros"))


def kernels_clipped_to_zero(make=network):
    return build(make(constraint="non_neg"))


def low_rank_factors_of_the_head(make=network):
    return low_rank_factors(make, "head")


def decaying_weights(make=network):
    return build(make(), optimizer=keras.optimizers.AdamW(0.01, weight_decay=0.5))


def shared_weights(make=network):
    inputs = keras.Input((5, 5, 1))
    shared = layers.Dense(5, name="shared")
    hidden = shared(shared(inputs[..., 0]))
    return build(keras.Model(inputs, layers.Dense(3)(layers.Flatten()(hidden))))


def low_rank_factors(make=network, layer="body"):
    model = make()
    model.get_layer(layer).enable_lora(2)  # freezes the kernel
    return build(model)


CHANNEL_CASES = [
    plain,
    compiled,
    eight_steps_an_execution,
    float16_with_steps_that_are_skipped,
    bfloat16,
    moving_average,
    moving_average_written_back,
    accumulated_gradients,
    several_optimizers,
    decaying_weights,
    low_rank_factors_of_the_head,
]
CASES = [*CHANNEL_CASES, eager, fitted_before, zero_kernels, kernels_clipped_to_zero, shared_weights, low_rank_factors]
TABLE = [("unstructured", case) for case in CASES] + [("channel", case) for case in CHANNEL_CASES]
FEW = (
    plain,
    moving_average,
    accumulated_gradients,
    low_rank_factors_of_the_head,
)  # channels on JAX, which compiles each anew
# Twice the batches for as many steps.
SLOW = (accumulated_gradients, float16_with_steps_that_are_skipped)
NOT_TORCH = (compiled, eight_steps_an_execution, float16_with_steps_that_are_skipped)
