from keras_arch.core.table import table


def test_columns_are_as_wide_as_their_longest_cell_and_numbers_end_in_line():
    text = table([("a", "n", "b"), ("long", "1", ""), ("x", "100", "y")], right=[1])
    assert text == "a       n  b\nlong    1\nx     100  y"
