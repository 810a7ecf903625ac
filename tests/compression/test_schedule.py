"""Schedules against a walk through all steps, and what happens to nonsense."""

import keras
import numpy as np
import pytest
from oracles.pruning import polynomial

from keras_arch.compression import ConstantSchedule, CosineSchedule, PolynomialSchedule, StepSchedule
from keras_arch.compression.schedule import sparsity_due, sparsity_in_force, sparsity_in_the_end

pytestmark = pytest.mark.backend
SETTINGS = [
    (0.0, 0.8, 0, 100, 3.0, 10),
    (0.2, 0.9, 7, 40, 1.0, 4),  # `every` does not divide
    (0.5, 0.1, 3, 20, 2.0, 1),  # denser again
    (0.0, 0.5, 6, 6, 3.0, 100),  # at once
]


@pytest.mark.parametrize("settings", SETTINGS)
def test_polynomial_equals_a_walk_through_all_steps(settings):
    schedule = PolynomialSchedule(*settings)
    last = 0.0
    for step in range(settings[3] + 30):
        update_now, sparsity = schedule(step)
        held = polynomial(step, *settings)
        assert sparsity == pytest.approx(held or 0.0, abs=1e-12)
        assert sparsity_in_force(schedule, step) == (None if held is None else pytest.approx(held, abs=1e-12))
        assert update_now or sparsity == last
        last = sparsity
    assert schedule(settings[3]) == (True, pytest.approx(settings[1], abs=1e-12))


@pytest.mark.parametrize("every", [1, 7, 50])
def test_cosine_is_half_a_wave(every):
    schedule = CosineSchedule(0.2, 0.8, 10, 110, every=every)
    wave = {step: 0.5 - 0.3 * np.cos(np.pi * (step - 10) / 100) for step in range(10, 111)}
    chosen = {*range(10, 110, every), 110}
    held = 0.0
    for step in range(140):
        held = wave[step] if step in chosen else held
        assert schedule(step) == (step in chosen, pytest.approx(held, abs=1e-12))
    assert CosineSchedule(0.2, 0.8, 5, 5)(5) == (True, 0.8)


def test_a_list_of_steps_holds_each_value_until_the_next():
    schedule = StepSchedule([3, 4, 9], (0.5, 0.25, 0.75))
    expected = [0.0] * 3 + [0.5] + [0.25] * 5 + [0.75] * 5
    assert [schedule(step)[1] for step in range(14)] == expected
    assert [step for step in range(14) if schedule(step)[0]] == [3, 4, 9]
    assert [sparsity_in_force(schedule, step) for step in (2, 3, 8, 10**12)] == [None, 0.5, 0.25, 0.75]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (([], []), "steps must be a list of numbers"),
        ((5, 0.5), "steps must be a list of numbers"),
        (([1, 2], [0.5]), "sparsities must have one value for each of the 2 steps"),
        (([2, 2], [0.5, 0.6]), "steps must grow"),
        (([-1], [0.5]), "steps must be an integer >= 0"),
        (([1], [1.0]), r"sparsities must be a number in \[0, 1\)"),
    ],
)
def test_lists_of_steps_are_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        StepSchedule(*settings)


def test_constant_is_chosen_once_or_every_so_often():
    once, often = ConstantSchedule(0.5, begin_step=4), ConstantSchedule(0.5, begin_step=4, every=3)
    assert [step for step in range(20) if once(step)[0]] == [4]
    assert [step for step in range(20) if often(step)[0]] == [4, 7, 10, 13, 16, 19]
    assert sparsity_in_force(once, 3) is None
    assert sparsity_in_force(once, 10**12) == 0.5


def test_the_end_is_known_where_a_schedule_says_it():
    assert sparsity_in_the_end(ConstantSchedule(0.5, begin_step=4)) == 0.5
    assert sparsity_in_the_end(PolynomialSchedule(0.0, 0.75, 2, 9, every=4)) == 0.75
    assert sparsity_in_the_end(CosineSchedule(0.5, 0.25, 2, 9)) == 0.25
    assert sparsity_in_the_end(lambda step: (True, 0.5)) is None


def test_a_foreign_schedule_is_asked_only_between_its_ends():
    class Foreign:
        begin_step, end_step, asked = 10, 20, 0

        def __call__(self, step):
            self.asked += 1
            return step % 5 == 0 and 10 <= step <= 20, 0.25

    schedule = Foreign()
    assert sparsity_in_force(schedule, 10**9) == 0.25
    assert schedule.asked == 1


def test_a_tfmot_schedule_is_understood(monkeypatch):
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "0")  # tfmot sets it for good; this puts it back
    schedules = pytest.importorskip(
        "tensorflow_model_optimization.python.core.sparsity.keras.pruning_schedule",
        reason="needs the extra keras-arch[interop]",
    )
    schedule = schedules.PolynomialDecay(0.0, 0.8, begin_step=10, end_step=50, frequency=10)
    ours = PolynomialSchedule(0.0, 0.8, 10, 50, every=10)
    for step in range(60):
        due = sparsity_due(schedule, step)
        assert due == (pytest.approx(ours(step)[1], abs=1e-6) if ours(step)[0] else None)
    assert sparsity_in_force(schedule, 1000) == pytest.approx(0.8)


@pytest.mark.parametrize(
    "schedule",
    [
        PolynomialSchedule(0.1, 0.8, 2, 15, power=2.0),
        ConstantSchedule(0.5, every=3),
        CosineSchedule(0.1, 0.8, 2, 15, every=4),
        StepSchedule([1, 5], [0.5, 0.75]),
    ],
)
def test_schedules_survive_serialisation(schedule):
    written = keras.saving.serialize_keras_object(schedule)
    assert written["registered_name"] == f"keras_arch>{type(schedule).__name__}"
    assert keras.saving.deserialize_keras_object(written) == schedule


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"initial_sparsity": -0.1}, "initial_sparsity must be a number"),
        ({"final_sparsity": 1.0}, "final_sparsity must be a number"),
        ({"final_sparsity": float("nan")}, "final_sparsity must be a number"),
        ({"begin_step": -1}, "begin_step must be an integer"),
        ({"end_step": 3}, "end_step must be at least begin_step, which is 5"),
        ({"every": 0}, "every must be an integer"),
    ],
)
@pytest.mark.parametrize("kind", [PolynomialSchedule, CosineSchedule])
def test_ramps_refuse(kind, changes, message):
    settings = {"initial_sparsity": 0.0, "final_sparsity": 0.5, "begin_step": 5, "end_step": 9}
    with pytest.raises(ValueError, match=message):
        kind(**(settings | changes))


def test_polynomial_refuses_a_power_of_zero():
    with pytest.raises(ValueError, match="power must be a number"):
        PolynomialSchedule(0.0, 0.5, 5, 9, power=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((1.0,), "sparsity must be a number"),
        ((0.5, -1), "begin_step must be an integer"),
        ((0.5, 0, 0), "every must be an integer"),
    ],
)
def test_constant_refuses(settings, message):
    with pytest.raises(ValueError, match=message):
        ConstantSchedule(*settings)


@pytest.mark.parametrize("answer", [None, 0.5, (True,), (True, None), (True, "half"), (True, float("nan"))])
def test_nonsense_from_a_schedule_is_refused(answer):
    with pytest.raises(ValueError, match="schedule must return"):
        sparsity_due(lambda step: answer, 3)


def test_what_a_schedule_says_when_it_is_not_due_does_not_matter():
    assert sparsity_due(lambda step: (False, None), 3) is None
