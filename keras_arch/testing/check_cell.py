"""One call that asks a recurrent cell everything a good cell answers."""

import pathlib
from collections.abc import Mapping
from typing import Any

import keras

from keras_arch.testing.check_layer import CHECKS, expectations, opened
from keras_arch.testing.layer.cells import CELLS, CellSubject
from keras_arch.testing.layer.check import LayerCheckError, LayerReport, refuse_unknown, run_checks
from keras_arch.testing.layer.construction import CONSTRUCTION
from keras_arch.testing.layer.subject import Case


def check_cell(
    cell_cls: type[keras.Layer],
    init_kwargs: Mapping[str, Any],
    input_shape: tuple[int, int, int],
    *,
    input_dtype: str = "float32",
    input_data: Any = None,
    expect: Mapping[str, Any] | None = None,
    unsaved_arguments: Mapping[str, str] | None = None,
    skip: Mapping[str, str] | None = None,
    tolerances: Mapping[str, float] | None = None,
    custom_objects: Mapping[str, Any] | None = None,
    directory: str | pathlib.Path | None = None,
) -> LayerReport:
    """Check a recurrent cell: its config, all of `check_layer` inside `keras.layers.RNN`, and what RNN relies on.

    The checks of the cell itself: states and sizes, step by step against RNN, unrolled against looped, masked steps,
    stateful calls, `Bidirectional`, stacked cells. B: samples, T: steps, D: features.

    Args:
        cell_cls: the class.
        init_kwargs: constructor arguments of the cell.
        input_shape: (B, T, D) of the sequences, B >= 2 and T >= 4.
        input_dtype: dtype of the inputs.
        input_data: sequences in place of the drawn ones.
        expect: as for `check_layer`, about the RNN with return_sequences=True.
        unsaved_arguments: constructor arguments that the cell's config may leave out -> reason.
        skip: check name -> reason to leave it out.
        tolerances: check name -> largest error in place of the check's own.
        custom_objects: names -> classes for loading, where they are not registered.
        directory: where to leave the `.keras` file for `check_saved_models`; nowhere if None.
    Returns:
        LayerReport: checks passed and left out; those of the cell's own config are marked "cell: ".
    Raises:
        AssertionError: if a check fails; names every failed check, what was compared, how far off it is, and the
            usual cause.
        ValueError: for a name in skip, tolerances or expect that does not exist.

    >>> only = {"cell_states_agree", "unrolling_equals_looping"}
    >>> print(ka.testing.check_cell(keras.layers.GRUCell, {"units": 3}, (2, 4, 3),
    ...     skip={name: "short example" for name in ka.testing.CHECK_NAMES if name not in only}))
    GRUCell: 2 checks passed, ...
      passed    cell_states_agree (states [(2, 3)])
      passed    unrolling_equals_looping
    ...
    """
    skip, tolerances = skip or {}, tolerances or {}
    refuse_unknown("skip", skip, (*CHECKS, *CELLS))
    refuse_unknown("tolerances", tolerances, (*CHECKS, *CELLS))
    case = Case(
        cell_cls,
        init_kwargs,
        input_shape,
        input_dtype=input_dtype,
        input_data=input_data,
        expect=expectations(expect),
        unsaved_arguments=unsaved_arguments or {},
    )
    name = cell_cls.__name__
    with opened(directory) as folder, keras.saving.custom_object_scope(custom_objects or {}):
        keras.utils.set_random_seed(0)
        subject = CellSubject(case, folder, name)
        given = {"skip": skip, "tolerances": tolerances}
        report, failures = run_checks(name, subject.cell, CONSTRUCTION, prefix="cell: ", **given)
        for checks in (CHECKS, CELLS):
            more, failed = run_checks(name, subject, checks, **given)
            report, failures = report + more, failures + failed
            if any(failure.check == "can_be_called" for failure in failed):
                break
    if failures:
        raise LayerCheckError(name, failures, len(report.passed) + len(failures))
    return report
