"""What a figure was measured on."""

import importlib.metadata
import os
import platform

import keras

PACKAGES = ("keras-arch", "keras", "tensorflow", "jax", "torch", "numpy", "tensorboard")


def environment() -> dict[str, str | int]:
    """Versions, backend and machine, for writing beside figures.

    Returns:
        Python version, Keras backend, processor architecture, number of cores this process may use, and the version
        of each of the packages keras-arch, keras, tensorflow, jax, torch, numpy, tensorboard that is installed.

    >>> ka.report.environment()["keras"] == keras.__version__
    True
    """
    found: dict[str, str | int] = {
        "python": platform.python_version(),
        "backend": keras.backend.backend(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
    }
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
