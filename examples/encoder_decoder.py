"""An encoder and a decoder that put back the underscores of names: "getfilesize" becomes "get_file_size".

python examples/encoder_decoder.py
"""

import pathlib
import random
import re
import sysconfig

import keras
import numpy as np

import keras_arch as ka

LETTERS = " ^$_abcdefghijklmnopqrstuvwxyz"  # padding, start, end, and what names are made of
START = 1


def read_names(longest: int) -> list[str]:
    """Names of several words in the modules of the standard library, in a fixed random order."""
    names = set()
    for path in pathlib.Path(sysconfig.get_path("stdlib")).rglob("*.py"):
        if not {"site-packages", "dist-packages", "test", "tests"} & set(path.parts):
            names |= set(re.findall(r"\b[a-z]+(?:_[a-z]+)+\b", path.read_text(errors="ignore")))
    names = sorted(name for name in names if len(name) <= longest)
    random.Random(0).shuffle(names)
    return names


def encode(names: list[str]) -> np.ndarray:
    """Indices of the letters, (B, T), short names padded with 0."""
    longest = max(map(len, names))
    return np.array([[LETTERS.index(letter) for letter in name.ljust(longest)] for name in names], "int32")


def decode(rows: np.ndarray) -> list[str]:
    """Names, each up to its end."""
    return ["".join(LETTERS[i] for i in row).split("$")[0] for row in rows]


class UnderscoreModel:
    """Layers of a decoder and the two models made of them: `training` for whole names, `encoder` for the memory."""

    def __init__(self, features: int, blocks: int) -> None:
        options = {"num_heads": 4, "intermediate_dim": 2 * features, "dropout": 0.05}
        source = keras.Input((None,), dtype="int32")
        x = keras.layers.Embedding(len(LETTERS), features, mask_zero=True)(source)
        x = ka.layers.SinusoidalPositionEncoding()(x)
        for i in range(blocks):
            x = ka.layers.TransformerEncoderBlock(**options, seed=i)(x)
        self.encoder = keras.Model(source, keras.layers.LayerNormalization()(x))

        self.embedding = keras.layers.Embedding(len(LETTERS), features, mask_zero=True)
        self.positions = ka.layers.SinusoidalPositionEncoding()
        self.blocks = [ka.layers.TransformerDecoderBlock(**options, seed=blocks + i) for i in range(blocks)]
        self.norm, self.head = keras.layers.LayerNormalization(), keras.layers.Dense(len(LETTERS))
        target = keras.Input((None,), dtype="int32")
        memory, x = self.encoder(source), self.positions(self.embedding(target))
        for block in self.blocks:
            x = block(x, memory)
        self.training = keras.Model([source, target], self.head(self.norm(x)))

    def write(self, source: np.ndarray, longest: int) -> np.ndarray:
        """The likeliest letters one by one, (B, longest). Caches keep what was read and what was written."""
        memory = self.encoder(source)
        caches = [block.make_cache(len(source), max_length=longest, memory=memory) for block in self.blocks]
        letters = [np.full((len(source), 1), START, "int32")]
        for step in range(longest):
            x = self.positions(self.embedding(letters[-1]), start_index=step)
            for i, block in enumerate(self.blocks):
                x, caches[i] = block(x, cache=caches[i])
            letter = keras.ops.argmax(self.head(self.norm(x)), axis=-1)
            letters.append(keras.ops.convert_to_numpy(letter).astype("int32"))
        return np.concatenate(letters[1:], axis=1)

    def write_at_once(self, source: np.ndarray, written: np.ndarray) -> np.ndarray:
        """The likeliest letter after each beginning of what was written, (B, longest), without a cache."""
        begun = np.pad(written[:, :-1], ((0, 0), (1, 0)), constant_values=START)
        return keras.ops.convert_to_numpy(keras.ops.argmax(self.training([source, begun]), axis=-1))


def main(
    epochs: int = 8, count: int | None = None, longest: int = 24, features: int = 64, blocks: int = 2
) -> tuple[float, float, float]:
    """Train; return the share of letters, then of whole names that are right, and of letters that caches agree on.

    All of 500 names kept aside; the letters of the first share are each written after the true ones.
    """
    keras.utils.set_random_seed(0)
    names = read_names(longest)[:count]
    source = encode([name.replace("_", "") for name in names])
    target = encode([f"^{name}$" for name in names])

    model = UnderscoreModel(features, blocks)
    # jit_compile=False: XLA would compile such a small model for longer than it trains.
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.training.compile(keras.optimizers.AdamW(3e-3), loss, jit_compile=False)
    model.training.fit([source[500:], target[500:, :-1]], target[500:, 1:], batch_size=64, epochs=epochs, verbose=2)

    kept, source, target = names[:500], source[:500], target[:500, 1:]
    right = (model.write_at_once(source, target) == target)[target > 0]
    written = model.write(source, longest=target.shape[1])
    agree = model.write_at_once(source, written) == written
    guesses = decode(written)
    for name, guess in list(zip(kept, guesses, strict=True))[:10]:
        print(f"{name.replace('_', ''):>{longest}} -> {guess}{'' if guess == name else f', not {name}'}")
    whole = [guess == name for name, guess in zip(kept, guesses, strict=True)]
    return float(np.mean(right)), float(np.mean(whole)), float(np.mean(agree))


if __name__ == "__main__":
    _, whole, agree = main()
    print(
        f"{whole:.3f} of the names kept aside are right; the same with and without caches: {agree:.3f} of the letters"
    )
