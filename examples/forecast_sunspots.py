"""Recurrent networks that forecast the sunspots of the next year: many-to-one, and one forecast for each year.

python examples/forecast_sunspots.py
"""

import keras
import numpy as np
from statsmodels.datasets import sunspots

import keras_arch as ka

YEARS = 33  # three cycles of the sun
SCALE = 100.0


def windows(series: np.ndarray) -> np.ndarray:
    """All stretches of YEARS + 1 years, (N, YEARS + 1, 1)."""
    return np.lib.stride_tricks.sliding_window_view(series, YEARS + 1)[..., None]


def many_to_one(units: int) -> keras.Sequential:
    """The year after a stretch: an LSTM with peepholes returns what it holds after the last year."""
    return keras.Sequential(
        [
            keras.Input((None, 1)),
            keras.layers.RNN(ka.layers.PeepholeLSTMCell(units)),
            keras.layers.Dense(1),
        ]
    )


def sequence(units: int) -> keras.Sequential:
    """The year after each year: layers that return sequences, and a loss of every step."""
    return keras.Sequential(
        [
            keras.Input((None, 1)),
            keras.layers.RNN(ka.layers.LayerNormLSTMCell(units), return_sequences=True),
            keras.layers.Dense(1),
        ]
    )


def parallel(units: int) -> keras.Sequential:
    """As `sequence`, with gates that do not look at the state, so that all years are computed side by side."""
    return keras.Sequential(
        [
            keras.Input((None, 1)),
            ka.layers.MinGRU(units, return_sequences=True),
            ka.layers.MinGRU(units, return_sequences=True),
            keras.layers.Dense(1),
        ]
    )


def main(epochs: int = 60, units: int = 32) -> dict[str, float]:
    """Train; return mean absolute errors, in sunspots, over the last 60 years, which no model has seen.

    "last year" and "last cycle" are the errors of repeating what was one and eleven years before.
    """
    keras.utils.set_random_seed(0)
    series = sunspots.load_pandas().data["SUNACTIVITY"].to_numpy("float32") / SCALE  # yearly, 1700 to 2008
    train, test = windows(series[:-60]), windows(series[-60 - YEARS :])

    truth = test[:, -1, 0]
    errors = {"last year": truth - test[:, -2, 0], "last cycle": truth - test[:, -12, 0]}
    for name, make in {"many-to-one": many_to_one, "sequence": sequence, "parallel": parallel}.items():
        model, one = make(units), make is many_to_one
        # jit_compile=False: XLA would compile such a small model for longer than it trains.
        model.compile(keras.optimizers.AdamW(3e-3), "mse", jit_compile=False)
        model.fit(train[:, :-1], train[:, -1] if one else train[:, 1:], batch_size=32, epochs=epochs, verbose=0)
        forecast = model.predict(test[:, :-1], verbose=0)
        errors[name] = truth - (forecast if one else forecast[:, -1])[:, 0]
    return {name: float(np.abs(error).mean() * SCALE) for name, error in errors.items()}


if __name__ == "__main__":
    for name, error in main().items():
        print(f"{name:12} off by {error:5.1f} sunspots")
