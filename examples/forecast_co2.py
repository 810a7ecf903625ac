"""A recurrent encoder and decoder with attention that forecast two years of carbon dioxide in the air.

python examples/forecast_co2.py
"""

import keras
import numpy as np
from statsmodels.datasets import co2

import keras_arch as ka

PAST, FUTURE = 60, 24  # months


def read_months() -> np.ndarray:
    """Monthly means at Mauna Loa, 1958 to 2001, parts per million; what is missing lies between its neighbours."""
    return co2.load_pandas().data["co2"].resample("MS").mean().interpolate().to_numpy("float32")


def windows(series: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each stretch of months, less its last known one: the past (N, PAST, 1) and the future (N, FUTURE, 1)."""
    stretches = np.lib.stride_tricks.sliding_window_view(series, PAST + FUTURE)[..., None]
    stretches = stretches - stretches[:, PAST - 1 : PAST]
    return stretches[:, :PAST], stretches[:, PAST:]


class Forecaster(keras.Model):
    """An LSTM reads the past; another, started with its states, writes the future and looks back at what was read.

    In training the decoder is given the true month before each; in `forecast` it is given its own.
    """

    def __init__(self, units: int) -> None:
        super().__init__()
        self.encoder = keras.layers.LSTM(units, return_sequences=True, return_state=True)
        cell = ka.layers.AttentionCell(keras.layers.LSTMCell(units), units)
        self.decoder = ka.layers.AttentionRNN(cell, return_sequences=True, return_state=True)
        self.head = keras.layers.Dense(1)

    def call(self, inputs: tuple) -> keras.KerasTensor:
        """Forecasts of each month (B, T, 1), from the past (B, PAST, 1) and the months before each (B, T, 1)."""
        past, before = inputs
        memory, *states = self.encoder(past)
        return self.head(self.decoder(before, memory=memory, initial_state=states)[0])

    def forecast(self, past: np.ndarray) -> np.ndarray:
        """FUTURE months (B, FUTURE, 1), each from the one before."""
        memory, *states = self.encoder(past)
        month, months = past[:, -1:], []
        for _ in range(FUTURE):
            y, *states = self.decoder(month, memory=memory, initial_state=states)
            month = self.head(y)
            months.append(keras.ops.convert_to_numpy(month))
        return np.concatenate(months, axis=1)


def main(epochs: int = 60, units: int = 32) -> dict[str, float]:
    """Train; return mean absolute errors in parts per million, over stretches that end in the last ten years.

    "last month" repeats the last known month; "last years" repeats the years before, moved up by a year's rise.
    """
    keras.utils.set_random_seed(0)
    series = read_months()
    train, test = windows(series[:-120]), windows(series[-120 - PAST :])
    before = np.concatenate([train[0][:, -1:], train[1][:, :-1]], axis=1)
    before = before + np.random.default_rng(0).normal(scale=0.3, size=before.shape)  # its own months will be off too

    model = Forecaster(units)
    # jit_compile=False: XLA would compile such a small model for longer than it trains.
    model.compile(keras.optimizers.AdamW(5e-3), "mse", jit_compile=False)
    model.fit((train[0], before.astype("float32")), train[1], batch_size=32, epochs=epochs, verbose=2)

    past, future = test
    year = past[:, -12:]
    rise = year.mean(axis=1, keepdims=True) - past[:, -24:-12].mean(axis=1, keepdims=True)
    guesses = {
        "last month": np.zeros_like(future),
        "last years": np.concatenate([year + rise, year + 2 * rise], axis=1),
        "encoder and decoder": model.forecast(past),
    }
    return {name: float(np.abs(guess - future).mean()) for name, guess in guesses.items()}


if __name__ == "__main__":
    for name, error in main().items():
        print(f"{name:20} off by {error:.2f} parts per million")
