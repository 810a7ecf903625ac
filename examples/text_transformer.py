"""A transformer that tells code, comments and docstrings apart, from one line of text, read byte by byte.

python examples/text_transformer.py
"""

import ast
import io
import pathlib
import random
import sysconfig
import tokenize

import keras
import numpy as np

import keras_arch as ka

KINDS = ("code", "comment", "docstring")


def lines_of(source: str) -> list[tuple[str, int]]:
    """Lines of a module and their kinds, without the signs that give them away: # and quotation marks."""
    lines, taken = [], set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            lines.append((token.string, 1))
        if token.type in (tokenize.COMMENT, tokenize.STRING):  # a line with one of them is not code alone
            taken.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            lines += [(line, 2) for line in (ast.get_docstring(node) or "").splitlines()]
    lines += [(line, 0) for number, line in enumerate(source.splitlines(), 1) if number not in taken]
    lines = [(line.strip(" \t#'\""), kind) for line, kind in lines]
    return [(line, kind) for line, kind in lines if len(line) >= 16]


def read_lines(paths: list[pathlib.Path], count: int, length: int) -> tuple[np.ndarray, np.ndarray]:
    """At most `count` lines, as many of each kind: bytes (N, length), 0 after the end, and kinds."""
    lines, each = [[] for _ in KINDS], count // len(KINDS)
    for path in paths:
        for line, kind in lines_of(path.read_text(encoding="utf-8")):
            lines[kind].append(line.encode()[:length].ljust(length, b"\0"))
        if min(map(len, lines)) >= each:
            break
    each = min(each, *map(len, lines))
    rng = np.random.default_rng(0)
    chosen = [part[i] for part in lines for i in rng.permutation(len(part))[:each]]
    x = np.frombuffer(b"".join(chosen), "uint8").reshape(-1, length).astype("int32")
    order = rng.permutation(len(x))
    return x[order], np.repeat(np.arange(len(KINDS)), each)[order]


def classifier(features: int, blocks: int) -> keras.Sequential:
    """Logits of the kinds. Padding is hidden by the mask of the embedding, up to the pooling."""
    return keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            keras.layers.Embedding(256, features, mask_zero=True),
            *(
                ka.layers.TransformerEncoderBlock(
                    num_heads=4,
                    intermediate_dim=2 * features,
                    dropout=0.1,
                    rotary_embedding=ka.layers.RotaryEmbedding(),
                    seed=i,
                )
                for i in range(blocks)
            ),
            keras.layers.LayerNormalization(),
            ka.layers.AttentionPooling(num_heads=4),
            keras.layers.Dense(len(KINDS)),
        ]
    )


def main(epochs: int = 6, count: int = 15000, length: int = 64, features: int = 64, blocks: int = 2) -> float:
    """Train; return the accuracy on lines of other modules, of which a third are of each kind."""
    keras.utils.set_random_seed(0)
    paths = sorted(pathlib.Path(sysconfig.get_path("stdlib")).glob("*.py"))
    random.Random(0).shuffle(paths)
    kept, rest = paths[: len(paths) // 4], paths[len(paths) // 4 :]  # no module is in both
    x, y = read_lines(rest, count, length)
    x_kept, y_kept = read_lines(kept, count // 6, length)

    model = classifier(features, blocks)
    # jit_compile=False: XLA would compile such a small model for longer than it trains.
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(2e-3), loss, metrics=["accuracy"], jit_compile=False)
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=2)

    guesses = np.argmax(model.predict(x_kept, verbose=0), axis=-1)
    for row, kind, guess in list(zip(x_kept, y_kept, guesses, strict=True))[:10]:
        text = bytes(row[row > 0].tolist()).decode(errors="replace")
        print(f"{text:{length}} {KINDS[kind]}{'' if kind == guess else f', not {KINDS[guess]}'}")
    return float(np.mean(guesses == y_kept))


if __name__ == "__main__":
    print(f"accuracy on lines of other modules {main():.3f}, by chance {1 / len(KINDS):.3f}")
