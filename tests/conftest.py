"""What every test shares: quiet logs, seeds, and no picture window."""

import gc
import os
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")
# XLA's code is compiled far more often here than it runs.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=0")

import keras
import numpy as np
import pytest

# Files that take long: one that began last would keep a worker busy while the other has nothing left.
LONG = ("conformance", "journeys", "callbacks", "examples")


def pytest_collection_modifyitems(items):
    """Quiet a warning for all tests, call those of single layers slow on JAX, and put files that take long first.

    Keras 3.15 hands variables to `np.array` (when it saves, for one), whose protocol NumPy 2 has extended. Run eagerly,
    JAX compiles every operation of every shape on its own: there, `pytest -m "backend and not slow"` holds each layer
    to the battery of tests/conformance only, and each method of explaining to that battery on a few kinds of model.
    """
    on_jax = keras.backend.backend() == "jax"
    for item in items:
        item.add_marker(
            pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")
        )
        if on_jax and _is_slow_on_jax(item):
            item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: not any(name in item.nodeid.split("::")[0] for name in LONG))


def _is_slow_on_jax(item):
    *folders, name = item.path.relative_to(item.config.rootpath).parts
    if "layers" in folders or ("explain" in folders and folders[-1] not in ("explain", "backend")):
        return True
    kind = getattr(item, "callspec", None) and item.callspec.params.get("kind")
    return name.startswith("test_explain_") and kind not in (None, "functional", "tokens")


def pytest_collection_finish():
    """Let the garbage collector pass over what the imports made: there is much of it, and it stays."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """Leave out tests once the time that `.ci/run` sets is over (seconds since 1970): it has to end on any machine."""
    end = os.environ.get("KERAS_ARCH_TESTS_END")
    if end and time.time() > float(end):
        pytest.skip("left out for want of time: KERAS_ARCH_TESTS_END is over")


@pytest.fixture(autouse=True)
def _fixed_seed():
    """Every test starts from the same random state, whatever ran before it."""
    keras.utils.set_random_seed(0)


@pytest.fixture(autouse=True)
def _no_leftover_state():
    """Layer names and the precision policy of one test do not reach the next."""
    policy = keras.config.dtype_policy()
    yield
    keras.config.set_dtype_policy(policy)
    keras.utils.clear_session(free_memory=False)


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded source of random arrays."""
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def digits():
    """scikit-learn's handwritten digits: (x, y) to train on, (x, y) to test on; x float32 (N, 8, 8, 1) in [0, 1]."""
    datasets = pytest.importorskip("sklearn.datasets", reason="needs the extra keras-arch[demo]")
    bunch = datasets.load_digits()
    images = (bunch.images / 16.0).astype("float32")[..., None]
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order], bunch.target[order]
    return (images[:1347], labels[:1347]), (images[1347:], labels[1347:])
