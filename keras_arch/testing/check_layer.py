"""One call that asks a layer everything a good layer answers."""

import contextlib
import pathlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras

from keras_arch.core.check import refuse
from keras_arch.testing.layer.cells import CELLS
from keras_arch.testing.layer.check import LayerCheckError, LayerReport, refuse_unknown, run_checks
from keras_arch.testing.layer.construction import CONSTRUCTION, built_at_init, revived_layer_agrees
from keras_arch.testing.layer.exports import EXPORTS
from keras_arch.testing.layer.files import FILES
from keras_arch.testing.layer.gradients import TRAINING
from keras_arch.testing.layer.masking import MASKING
from keras_arch.testing.layer.precision import PRECISION
from keras_arch.testing.layer.randomness import RANDOMNESS
from keras_arch.testing.layer.shapes import SHAPES, can_be_called
from keras_arch.testing.layer.subject import Case, Subject

CHECKS = (
    can_be_called,
    built_at_init,
    *CONSTRUCTION,
    revived_layer_agrees,
    *SHAPES,
    *RANDOMNESS,
    *MASKING,
    *PRECISION,
    *TRAINING,
    *FILES,
    *EXPORTS,
)
CHECK_NAMES = tuple(one.name for one in (*CHECKS, *CELLS))
EXPECTATIONS = (
    "built_at_init",
    "losses",
    "mask_shape",
    "non_trainable_weights",
    "output",
    "output_dtype",
    "output_shape",
    "seed_generators",
    "supports_masking",
    "trainable_weights",
)


def check_layer(
    layer_cls: type[keras.Layer],
    init_kwargs: Mapping[str, Any] | Callable[[], Mapping[str, Any]],
    input_shape: Any,
    *,
    input_dtype: Any = "float32",
    input_data: Any = None,
    call_kwargs: Mapping[str, Any] | None = None,
    mask: Any = "auto",
    padding: tuple[float, ...] = (1.0, 1e3),
    dynamic_axes: tuple[int, ...] | None = None,
    expect: Mapping[str, Any] | None = None,
    unsaved_arguments: Mapping[str, str] | None = None,
    skip: Mapping[str, str] | None = None,
    tolerances: Mapping[str, float] | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    directory: str | pathlib.Path | None = None,
) -> LayerReport:
    """Check a layer class: config, shapes, masks, precision, gradients, compilation, files, exports, randomness.

    Every check is a question with a name; `keras_arch.testing.CHECK_NAMES` lists them. Errors of numbers
    are max |got - wanted| / max |wanted| per output. B: samples, T: steps or pixels, D: features.

    Args:
        layer_cls: the class.
        init_kwargs: constructor arguments; or a function that returns them, where they hold a layer (a cell).
            Give values that differ from the defaults: only these show whether the config keeps them.
        input_shape: (B, ..., D) with B >= 2; a list of shapes where the layer takes a list; a dict
            {"query": shape, "value": shape} where it takes several arguments ("query_shape" is understood too).
        input_dtype: dtype of the inputs, or one for each in the same structure.
        input_data: arrays in place of the drawn ones (normal floats, integers from 0 to 3).
        call_kwargs: Python values for `call`; tensors go into `input_shape` by name.
        mask: "auto" pads sample b to T - 2 b steps where the layer takes a mask; an array or a dict of arrays, True
            where a step counts; None if masks mean nothing to the layer.
        padding: magnitudes of the content that padded steps are filled with; nan is allowed.
        dynamic_axes: axes that may be None; all but the last by default. (0,) if the layer needs its sizes.
        expect: what you know, among output, output_shape, output_dtype, mask_shape, supports_masking,
            trainable_weights, non_trainable_weights, seed_generators (numbers), losses (number), built_at_init.
        unsaved_arguments: constructor arguments that the config may leave out -> reason.
        skip: check name -> reason to leave it out.
        tolerances: check name -> largest error in place of the check's own (`low_precision`: in resolutions of the
            dtype, 8 by default).
        custom_objects: names -> classes for loading, where they are not registered.
        directory: where to leave the `.keras` file with inputs and outputs for `check_saved_models`; nowhere if None.
    Returns:
        LayerReport: checks passed with what was measured, and checks left out with the reason.
    Raises:
        AssertionError: if a check fails; names every failed check, what was compared, how far off it is, and the
            usual cause.
        ValueError: for a name in skip, tolerances or expect that does not exist.

    Sparse and ragged inputs are not covered. The global random seeds are set.

    >>> report = ka.testing.check_layer(keras.layers.Dense, {"units": 3, "activation": "tanh"}, (2, 4),
    ...     unsaved_arguments={"lora_rank": "default", "lora_alpha": "default", "quantization_config": "default"},
    ...     skip={"jit_compile": "short example", "litert": "short example"})
    >>> str(report).splitlines()[1]
    '  passed    can_be_called'
    """
    skip, tolerances = skip or {}, tolerances or {}
    refuse_unknown("skip", skip, (*CHECKS, *CELLS))
    refuse_unknown("tolerances", tolerances, (*CHECKS, *CELLS))
    case = Case(
        layer_cls,
        init_kwargs,
        input_shape,
        input_dtype=input_dtype,
        input_data=input_data,
        call_kwargs=call_kwargs or {},
        mask=mask,
        padding=padding,
        dynamic_axes=dynamic_axes,
        expect=expectations(expect),
        unsaved_arguments=unsaved_arguments or {},
    )
    with opened(directory) as folder, keras.saving.custom_object_scope(custom_objects or {}):
        keras.utils.set_random_seed(0)
        subject = Subject(case, folder, layer_cls.__name__)
        report, failures = run_checks(layer_cls.__name__, subject, CHECKS, skip=skip, tolerances=tolerances)
    if failures:
        raise LayerCheckError(layer_cls.__name__, failures, len(report.passed) + len(failures))
    return report


def expectations(given: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """Return what a case expects, or raise for a key that nothing looks at."""
    unknown = sorted(set(given or {}) - set(EXPECTATIONS))
    if unknown:
        raise refuse("expect", f"must have keys among {', '.join(EXPECTATIONS)}", unknown, "Correct the key.")
    return given or {}


@contextlib.contextmanager
def opened(directory: str | pathlib.Path | None) -> Iterator[pathlib.Path]:
    """A folder for files: the given one, or a temporary one that is removed afterwards."""
    if directory is None:
        with tempfile.TemporaryDirectory() as temporary:
            yield pathlib.Path(temporary)
    else:
        pathlib.Path(directory).mkdir(parents=True, exist_ok=True)
        yield pathlib.Path(directory)
