"""Running checks: names, causes, reasons, errors, reports."""

import pytest

from keras_arch.testing.layer.check import (
    Failure,
    LayerCheckError,
    LayerReport,
    Mismatch,
    NotApplicable,
    check,
    refuse_unknown,
    run_checks,
)


@check("never fails")
def passes(subject):
    return f"saw {subject}"


@check("it always fails", tolerance=0.5)
def measures(subject, tolerance):
    if tolerance < 1.0:
        raise Mismatch(f"off by 1 (allowed {tolerance}).")


@check("it divides")
def raises(subject):
    return 1 / 0


@check("no cause")
def does_not_apply(subject):
    raise NotApplicable("no time axis")


@check("first things first", vital=True)
def vital(subject):
    raise Mismatch("broken.")


def run(*checks, **options):
    return run_checks("Name", "me", checks, **{"skip": {}, "tolerances": {}, **options})


def test_results_are_sorted_into_passed_left_out_and_failed():
    report, failures = run(passes, measures, raises, does_not_apply)
    assert report == LayerReport("Name", (("passes", "saw me"),), (("does_not_apply", "no time axis"),))
    assert failures == (
        Failure("measures", "off by 1 (allowed 0.5). Usual cause: it always fails"),
        Failure("raises", "raised ZeroDivisionError: division by zero Usual cause: it divides"),
    )


def test_a_skipped_check_is_left_out_with_its_reason():
    report, failures = run(passes, skip={"passes": "too slow"})
    assert report.left_out == (("passes", "too slow"),)
    assert failures == ()


def test_a_tolerance_may_be_given():
    report, failures = run(measures, tolerances={"measures": 1.0})
    assert (report.passed, failures) == ((("measures", ""),), ())


def test_nothing_follows_a_vital_failure():
    report, failures = run(vital, passes)
    assert [failure.check for failure in failures] == ["vital"]
    assert report.passed == ()


def test_a_prefix_is_written_before_each_name():
    report, _ = run(passes, prefix="cell: ")
    assert report.passed == (("cell: passes", "saw me"),)


def test_the_error_lists_every_failure():
    error = LayerCheckError("Name", (Failure("a", "one."), Failure("b", "two.")), 7)
    assert str(error) == "Name fails 2 of 7 checks:\n- a: one.\n- b: two."


def test_a_report_is_readable_and_adds_up():
    first, second = LayerReport("Name", (("a", "error 0"),), ()), LayerReport("Name", (), (("b", "no mask"),))
    assert str(first + second) == "Name: 1 check passed, 1 left out\n  passed    a (error 0)\n  left out  b (no mask)"


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="skip must name checks that exist; received litrt. Known: passes"):
        refuse_unknown("skip", {"litrt": "reason"}, (passes,))
    with pytest.raises(ValueError, match="skip must map names of checks to values; received skip="):
        refuse_unknown("skip", ("passes",), (passes,))
