"""The single checks of `check_layer` and `check_cell`, one idea a file."""
