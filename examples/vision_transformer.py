"""A vision transformer: handwritten digits, then crops of two photographs, at a size it was not trained at too.

python examples/vision_transformer.py
"""

import pathlib
import tempfile

import keras
import numpy as np
from sklearn.datasets import load_digits, load_sample_images

import keras_arch as ka


def vision_transformer(
    image: tuple[int, int, int], patch: int, grid: tuple[int, int], features: int, blocks: int, classes: int
) -> keras.Model:
    """Logits of images of one size. `grid`: rows and columns of the table of positions, which fits itself to others."""
    inputs = keras.Input(image)
    patches = ka.layers.PatchEmbedding(patch, features)
    rows, columns = patches.grid(*image[:2])
    x = keras.layers.Reshape((rows, columns, features))(patches(inputs))
    x = ka.layers.LearnedPositionEmbedding(grid)(x)
    x = keras.layers.Reshape((rows * columns, features))(x)
    for i in range(blocks):
        x = ka.layers.TransformerEncoderBlock(
            num_heads=4,
            intermediate_dim=2 * features,
            layer_scale=0.1,
            stochastic_depth=0.1 * i / max(blocks - 1, 1),
            seed=i,
        )(x)
    x = keras.layers.LayerNormalization()(x)
    x = ka.layers.AttentionPooling(num_heads=4)(x)
    return keras.Model(inputs, keras.layers.Dense(classes)(x))


def train(model: keras.Model, x: np.ndarray, y: np.ndarray, epochs: int) -> None:
    # jit_compile=False: XLA would compile such a small model for longer than it trains.
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(2e-3), loss, metrics=["accuracy"], jit_compile=False)
    model.fit(x, y, batch_size=64, epochs=epochs, verbose=2)


def accuracy(model: keras.Model, x: np.ndarray, y: np.ndarray) -> float:
    logits = keras.ops.convert_to_numpy(model(x))
    return float(np.mean(np.argmax(logits, axis=-1) == y))


def read_digits(epochs: int, features: int, blocks: int) -> float:
    """Accuracy on the 450 digits kept aside."""
    digits = load_digits()
    x, y = (digits.images / 16).astype("float32")[..., None], digits.target
    model = vision_transformer((8, 8, 1), 2, (4, 4), features, blocks, classes=10)
    train(model, x[:1347], y[:1347], epochs)
    return accuracy(model, x[1347:], y[1347:])


def crops(photographs: list[np.ndarray], size: int, columns: slice, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Random grey crops, each of mean 0 and deviation 1 so that brightness tells nothing, and their photographs."""
    rng = np.random.default_rng(0)
    x, y = np.empty((count, size, size, 1), "float32"), rng.integers(len(photographs), size=count)
    for i in range(count):
        photograph = photographs[y[i]][:, columns]
        row, column = (rng.integers(length - size) for length in photograph.shape)
        crop = photograph[row : row + size, column : column + size]
        x[i, ..., 0] = (crop - crop.mean()) / (crop.std() + 1e-3)
    return x, y


def tell_photographs_apart(epochs: int, count: int, features: int, blocks: int, folder: str | None) -> dict[int, float]:
    """Trained on crops of their left, the accuracy on crops of their right, by the size of the crops."""
    photographs = [image.mean(axis=-1) / 255 for image in load_sample_images().images]  # (427, 640) each
    left, right = slice(0, 400), slice(400, None)
    model = vision_transformer((32, 32, 1), 8, (4, 4), features, blocks, classes=2)
    train(model, *crops(photographs, 32, left, count), epochs)
    path = pathlib.Path(folder or tempfile.mkdtemp()) / "vision_transformer.weights.h5"
    model.save_weights(path)

    accuracies = {}
    for size in (32, 64):  # the table of 4 x 4 positions becomes one of 8 x 8 as it is loaded
        model = vision_transformer((size, size, 1), 8, (size // 8, size // 8), features, blocks, classes=2)
        model.load_weights(path)
        accuracies[size] = accuracy(model, *crops(photographs, size, right, 1000))
    return accuracies


def main(
    epochs: int = 16, count: int = 3000, features: int = 64, blocks: int = 3, folder: str | None = None
) -> tuple[float, float, float]:
    """Train both; return the accuracy on digits, on crops of the size trained on, and on crops twice that size."""
    keras.utils.set_random_seed(0)
    on_digits = read_digits(epochs, features, blocks)
    on_crops = tell_photographs_apart(epochs // 2, count, features, blocks, folder)
    return on_digits, *on_crops.values()


if __name__ == "__main__":
    print("accuracy: {:.4f} on digits, {:.4f} on crops of 32 pixels, {:.4f} on crops of 64 pixels".format(*main()))
