"""Recurrent cells for `keras.layers.RNN`, `Bidirectional` and `StackedRNNCells`."""
