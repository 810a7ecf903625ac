"""Checks of training: the compiled step, its gradient against finite differences, and the same under XLA."""

import functools
import warnings
from typing import Any

import keras
import numpy as np

from keras_arch.testing.layer.check import Mismatch, NotApplicable, check, first_lines
from keras_arch.testing.layer.compare import assert_close, equal, to_numpy, values_of
from keras_arch.testing.layer.subject import Subject

STEPS = (1e-4, 1e-3, 1e-2, 1e-5)


class SlopeModel(keras.Model):
    """A model whose one training step of SGD at rate 1 moves each variable by minus its gradient.

    The inputs are variables themselves, so the step moves them too: gradients of weights and of inputs on every
    backend by public means alone. The loss is <direction, outputs>.

    Args:
        subject: says how to call.
        layer: built.
        dtype: "float32" or "float64" for the inputs.
        record: whether to keep the outputs that the step computes: of training, and of inference where they differ.
    """

    def __init__(self, subject: Subject, layer: keras.Layer, dtype: str, *, record: bool = False) -> None:
        super().__init__(dtype=dtype)
        self.layer = layer
        self.subject = subject
        self.points = []
        self.fixed = []
        for x in keras.tree.flatten(subject.inputs):
            is_float = np.issubdtype(x.dtype, np.floating)
            self.fixed.append(None if is_float else x)
            if is_float:
                self.points.append(self.add_weight(shape=x.shape, initializer="zeros", dtype=dtype))
                self.points[-1].assign(x)
        random = np.random.default_rng(2)
        outputs = keras.tree.flatten(subject.outputs)
        self.direction = [random.standard_normal(y.shape).astype(dtype) for y in outputs]
        self.two_modes = record and not equal(subject.outputs, subject.training_outputs)
        self.seen = [
            self.add_weight(shape=y.shape, initializer="zeros", trainable=False, dtype=str(y.dtype))
            for y in outputs * (record + self.two_modes)
        ]
        self.built = True

    def point(self) -> Any:
        """The inputs in their structure."""
        points = iter(self.points)
        tensors = [
            keras.ops.convert_to_tensor(next(points)) if x is None else keras.ops.convert_to_tensor(x)
            for x in self.fixed
        ]
        return keras.tree.pack_sequence_as(self.subject.inputs, tensors)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        at_inference = []
        if self.two_modes:  # before the training call, which may move statistics
            at_inference = keras.tree.flatten(self.subject.call(self.layer, self.point(), training=False))
        outputs = keras.tree.flatten(self.subject.call(self.layer, self.point(), training=True))
        if self.seen:
            for variable, value in zip(self.seen, outputs + at_inference, strict=True):
                variable.assign(value)
        return outputs

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        # Inputs that the outputs do not depend on have the gradient 0, not None.
        terms = [0.0 * keras.ops.sum(point) for point in self.points]
        for output, direction in zip(y_pred, self.direction, strict=True):
            if keras.backend.is_float_dtype(keras.backend.standardize_dtype(output.dtype)):
                terms.append(keras.ops.sum(output * keras.ops.cast(direction, output.dtype)))
        return functools.reduce(lambda a, b: a + keras.ops.cast(b, a.dtype), terms)


class GradientKeeper(keras.optimizers.Optimizer):
    """An optimizer that writes each gradient down and moves nothing.

    A step of SGD at rate 1 would show the gradients as well. But with TensorFlow 2.21 on a CPU the update of one
    variable can overtake the gradient of another that still reads it: the second comes out wrong, now and then.
    """

    def __init__(self) -> None:
        super().__init__(learning_rate=1.0)

    def build(self, variables: list) -> None:
        if self.built:
            return
        super().build(variables)
        self.kept = [self.add_variable_from_reference(variable, name="gradient") for variable in variables]

    def update_step(self, gradient: Any, variable: keras.Variable, learning_rate: Any) -> None:
        # Added to zero, since assign would take a sparse gradient of an embedding for a dense one.
        self.assign_add(self.kept[self._get_variable_index(variable)], gradient)


def step(model: SlopeModel, *, jit_compile: bool) -> list[np.ndarray]:
    """Run one step of fit and return the gradient of each trainable variable; all variables get their values back."""
    for variable in model.layer.trainable_variables:
        variable.constraint = None
    keeper = GradientKeeper()
    model.compile(optimizer=keeper, jit_compile=jit_compile)
    keeper.build(model.trainable_variables)  # or fit would trace its step once for that, and once more
    state = values_of(model.layer.non_trainable_variables)
    nothing = np.zeros((1, 1), "float32")
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="Gradients do not exist for variables")
        model.fit(nothing, nothing, batch_size=1, epochs=1, verbose=0, shuffle=False)
    for variable, value in zip(model.layer.non_trainable_variables, state, strict=True):
        variable.assign(value)
    return values_of(keeper.kept)


class Slopes:
    """The plain compiled step of a subject: its model and gradients, in float64 where layer and backend have it."""

    def __init__(self, subject: Subject) -> None:
        if not any(np.issubdtype(y.dtype, np.floating) for y in keras.tree.flatten(subject.outputs)):
            raise NotApplicable("no output is a float, so there is no gradient")
        self.note = ""
        self.dtype = "float64"
        if keras.backend.backend() == "jax":  # float64 needs the process-wide switch jax_enable_x64
            self.dtype = "float32"
        try:
            self.run(subject)
        except Exception as error:  # a layer may well not know float64
            if self.dtype == "float32":
                raise
            self.note = f"in float32, since float64 raised {first_lines(error, 80)}"
            self.dtype = "float32"
            self.run(subject)

    def run(self, subject: Subject) -> None:
        layer = subject.twin(None if self.dtype == "float32" else self.dtype)
        self.model = SlopeModel(subject, layer, self.dtype)
        if not self.model.trainable_variables:
            raise NotApplicable("neither float inputs nor trainable weights")
        # With JAX an uncompiled step is an eager one.
        self.gradients = step(self.model, jit_compile=keras.backend.backend() == "jax")


def slopes(subject: Subject) -> Slopes:
    """The plain step of a subject, run once for all checks; where it failed, only the first to ask hears why."""
    if "slopes" not in subject.shared:
        subject.shared["slopes"] = None
        subject.shared["slopes"] = Slopes(subject)
    if subject.shared["slopes"] is None:
        raise NotApplicable("training_step says why there is no gradient")
    return subject.shared["slopes"]


@check(
    "A trainable weight takes no part in the outputs, or `call` can't be traced: it turns a tensor into a Python "
    "number or branches on one."
)
def training_step(subject: Subject) -> str:
    """One compiled `fit` step runs, reaches every trainable weight and stays finite."""
    run = slopes(subject)
    names = [variable.path for variable in run.model.trainable_variables]
    broken = [name for name, g in zip(names, run.gradients, strict=True) if not np.all(np.isfinite(g))]
    if broken:
        raise Mismatch(f"the gradient is not finite for {', '.join(broken)}.")
    return f"{len(run.model.layer.trainable_variables)} weights, {len(run.model.points)} inputs"


@check(
    "A custom gradient is wrong, or a stop_gradient or rounding hides a dependence. (A straight-through estimator "
    "fails by design: skip the check with that reason.)",
    tolerance=1e-3,
)
def gradient(subject: Subject, tolerance: float) -> str:
    """The gradient agrees with central differences along a random direction, of the inputs and of the weights.

    The error is |difference quotient - <gradient, direction>| / norm(gradient), the least over steps from 1e-5 to
    1e-2, as the best step depends on how precisely the layer computes.
    """
    run = slopes(subject)
    model, base = run.model, values_of(run.model.trainable_variables)
    state = values_of(model.non_trainable_variables)
    random = np.random.default_rng(3)
    directions = [random.standard_normal(x.shape).astype(x.dtype) for x in base]

    def height(shift: list[np.ndarray]) -> float:
        point = [keras.ops.convert_to_tensor(x + d) for x, d in zip(base, shift, strict=True)]
        outputs, _ = model.stateless_call(point, state, np.zeros((1, 1), "float32"))
        pairs = zip(to_numpy(outputs), model.direction, strict=True)
        return sum(float(np.sum(y.astype("float64") * d)) for y, d in pairs if np.issubdtype(y.dtype, np.floating))

    def error(members: set[int]) -> float:
        chosen = [d if i in members else np.zeros_like(d) for i, d in enumerate(directions)]
        slope = sum(float(np.sum(run.gradients[i].astype("float64") * directions[i])) for i in members)
        norm = np.sqrt(sum(float(np.sum(run.gradients[i].astype("float64") ** 2)) for i in members)) or 1.0
        best = np.inf
        for h in STEPS:
            quotient = (height([h * d for d in chosen]) - height([-h * d for d in chosen])) / (2 * h)
            best = min(best, abs(quotient - slope) / norm)
            if best <= tolerance:
                break
        return float(best)

    is_input = {i for i, v in enumerate(model.trainable_variables) if any(v is p for p in model.points)}
    groups = {"inputs": is_input, "weights": set(range(len(base))) - is_input}
    measured = {}
    for name, members in groups.items():
        if not members:
            continue
        measured[name] = error(members)
        if measured[name] > tolerance:
            single = {model.trainable_variables[i].path: error({i}) for i in sorted(members)}
            worst = max(single, key=single.get)
            raise Mismatch(
                f"the slope along a random direction of the {name} differs from central differences by "
                f"{measured[name]:.3g} of the gradient's norm (allowed {tolerance:g}), "
                f"most in {worst} ({single[worst]:.3g})."
            )
    text = ", ".join(f"{name} {value:.1g}" for name, value in measured.items())
    return f"{text} {run.note or 'in ' + run.dtype}"


@check(
    "The layer uses an operation that XLA lacks, loops without a fixed number of steps, or has a shape that depends on "
    "values.",
    tolerance=1e-4,
)
def jit_compile(subject: Subject, tolerance: float) -> str:
    """One step under jit_compile=True gives the outputs of the plain call and the gradients of the plain step."""
    if keras.backend.backend() == "torch":
        raise NotApplicable("Keras compiles with XLA on TensorFlow and JAX only")
    plain = slopes(subject).gradients
    model = SlopeModel(subject, subject.twin(), "float32", record=True)
    if not model.trainable_variables:
        raise NotApplicable("neither float inputs nor trainable weights to train a step with")
    gradients = step(model, jit_compile=True)
    seen = values_of(model.seen)
    count = len(model.direction)
    worst = 0.0
    if model.two_modes:
        wanted = keras.tree.flatten(subject.outputs)
        worst = assert_close(seen[count:], wanted, tolerance, "inference with jit_compile=True against eager")
    if subject.is_noisy:
        return f"error {worst:.1g}; XLA draws other noise, so training is not compared"
    wanted = keras.tree.flatten(subject.training_outputs)
    off = assert_close(seen[:count], wanted, tolerance, "training with jit_compile=True against eager")
    worst = max(worst, off)
    scale = max((float(np.max(np.abs(g), initial=0.0)) for g in plain), default=0.0) or 1.0
    got, wanted = ([g.astype("float64") / scale for g in one] for one in (gradients, plain))
    for variable, a, b in zip(model.trainable_variables, got, wanted, strict=True):
        off = float(np.max(np.abs(a - b), initial=0.0))
        if not off <= tolerance:
            raise Mismatch(
                f"the gradient of {variable.path} with jit_compile=True is off by {off:.3g} (allowed {tolerance:g})."
            )
        worst = max(worst, off)
    return f"error {worst:.1g}"


TRAINING = (training_step, gradient, jit_compile)
