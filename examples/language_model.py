"""A small language model of Python's own sources, byte by byte, that writes with a key-value cache.

python examples/language_model.py
"""

import pathlib
import sysconfig
import tempfile
import time

import keras
import numpy as np
from keras import ops

import keras_arch as ka


def read_sources(files: int) -> tuple[np.ndarray, np.ndarray]:
    """Bytes of modules of the standard library, to train on and kept aside; no file is in both."""
    paths = sorted(pathlib.Path(sysconfig.get_path("stdlib")).glob("*.py"))[:files]
    parts = ([path for i, path in enumerate(paths) if i % 10], paths[::10])
    return tuple(np.frombuffer(b"".join(path.read_bytes() for path in part), "uint8") for part in parts)


def windows(data: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """Pieces of `length` bytes, and for each byte the one after it."""
    pieces = np.lib.stride_tricks.sliding_window_view(data, length + 1)[::length].astype("int32")
    return pieces[:, :-1], pieces[:, 1:]


def language_model(features: int, blocks: int) -> keras.Sequential:
    return keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            keras.layers.Embedding(256, features),
            *(
                ka.layers.TransformerDecoderBlock(
                    num_heads=4,
                    num_kv_heads=2,
                    intermediate_dim=2 * features,
                    feed_forward="swiglu",
                    normalization="rms",
                    use_bias=False,
                    rotary_embedding=ka.layers.RotaryEmbedding(),
                )
                for _ in range(blocks)
            ),
            keras.layers.RMSNormalization(),
            keras.layers.Dense(256),
        ]
    )


class Writer(keras.Model):
    """Goes on with a text: int (B, T) to (B, T + steps). `predict` compiles all of it, loop included, to one function.

    Args:
        model: maps bytes (B, T) to logits of the next byte (B, T, 256).
        steps: bytes to write; the whole text should be no longer than those trained on.
        temperature: logits are divided by it; 0 always takes the likeliest byte.
        top_k: how many of the likeliest bytes are drawn from; None for all.
        seed: of the draws.
        cached: whether keys and values of earlier bytes are kept, or all of the text is read again for each byte.
    """

    def __init__(
        self,
        model: keras.Sequential,
        steps: int,
        temperature: float = 0.0,
        top_k: int | None = None,
        seed: int = 0,
        cached: bool = True,
    ) -> None:
        super().__init__()
        self.model, self.steps, self.cached = model, steps, cached
        self.temperature, self.top_k, self.seed = temperature, top_k, seed
        self.compile(jit_compile=True)

    def call(self, prompt):
        batch, start = ops.shape(prompt)
        text = ops.pad(prompt, ((0, 0), (0, self.steps)))  # (B, T + steps)
        shape = (self.steps, batch, 256)
        uniform = keras.random.uniform(shape, 1e-7, 1.0, seed=self.seed) if self.temperature else ops.zeros((1, 1, 1))
        caches = []
        if self.cached:
            blocks = [x for x in self.model.layers if isinstance(x, ka.layers.TransformerDecoderBlock)]
            caches = [block.make_cache(batch, max_length=start + self.steps) for block in blocks]
        logits, caches = self.read(prompt, caches)

        def write(step, text, logits, caches):
            byte = self.choose(logits, uniform, step)  # (B, 1)
            text = ops.slice_update(text, (0, start + step), byte)
            if self.cached:
                logits, caches = self.read(byte, caches)
            else:
                logits = ops.take(self.model(text), start + step, axis=1)
            return step + 1, text, logits, caches

        variables = (ops.zeros((), "int32"), text, logits, caches)
        return ops.while_loop(lambda step, *_: step < self.steps, write, variables)[1]

    def read(self, text, caches):
        """Logits after the last byte, (B, 256), and the caches with this text in them."""
        caches, x = list(caches), text
        for layer in self.model.layers:
            if isinstance(layer, ka.layers.TransformerDecoderBlock) and self.cached:
                x, cache = layer(x, cache=caches.pop(0))
                caches.append(cache)
            else:
                x = layer(x)
        return x[:, -1], caches

    def choose(self, logits, uniform, step):
        """The next byte of each text, (B, 1)."""
        if self.temperature:
            if self.top_k is not None:
                lowest = ops.top_k(logits, self.top_k)[0][:, -1:]
                logits = ops.where(logits < lowest, -1e9, logits)
            # The largest of logits + Gumbel noise is a draw from their softmax.
            logits = logits / self.temperature - ops.log(-ops.log(ops.take(uniform, step, axis=0)))
        return ops.cast(ops.argmax(logits, axis=-1, keepdims=True), "int32")


def main(
    epochs: int = 1,
    files: int = 80,
    length: int = 128,
    features: int = 96,
    blocks: int = 3,
    steps: int = 100,
    temperature: float = 0.8,
    top_k: int | None = 20,
    folder: str | None = None,
) -> tuple[float, float, bool]:
    """Train, write; return bits per byte of the files kept aside, of byte counts alone, and whether caches agree."""
    keras.utils.set_random_seed(0)
    train, kept = read_sources(files)
    model = language_model(features, blocks)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(3e-3), loss, jit_compile=False)
    model.fit(*windows(train, length), batch_size=16, epochs=epochs, verbose=2)
    bits = model.evaluate(*windows(kept, length), batch_size=32, verbose=0) / np.log(2)
    counts = np.bincount(train, minlength=256) + 1
    by_count = -np.mean(np.log2(counts / counts.sum())[kept])
    print(f"{len(kept)} bytes kept aside: {bits:.3f} bits per byte; by how often each byte comes: {by_count:.3f}")

    path = pathlib.Path(folder or tempfile.mkdtemp()) / "language_model.keras"
    model.save(path)
    model = keras.saving.load_model(path)
    prompt = np.frombuffer(b"    def __init__(self", "uint8").astype("int32")[None]
    texts = {}
    for cached in (True, False):
        writer = Writer(model, steps, cached=cached)
        writer.predict(prompt, verbose=0)  # compiles
        start = time.perf_counter()
        texts[cached] = writer.predict(prompt, verbose=0)
        speed = steps / (time.perf_counter() - start)
        print(f"{speed:.0f} bytes per second {'with' if cached else 'without'} a cache")
    text = Writer(model, steps, temperature, top_k).predict(prompt, verbose=0)[0]
    print(bytes(text.tolist()).decode(errors="replace"))
    return float(bits), float(by_count), bool(np.array_equal(texts[True], texts[False]))


if __name__ == "__main__":
    bits, _, same = main()
    print(f"{bits:.3f} bits per byte, the same text with and without a cache: {same}")
