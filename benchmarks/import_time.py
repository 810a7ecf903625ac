"""What `import keras_arch` adds to `import keras`, in seconds: fresh processes, alternating, median of differences.

Goal: at most 0.3 s.

    python benchmarks/import_time.py
"""

import json
import os
import statistics
import subprocess
import sys

ROUNDS = 7


def seconds(module: str) -> float:
    """CPU seconds a fresh process spends on importing a module."""
    code = f"import time; a = time.process_time(); import {module}; print(time.process_time() - a)"
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return float(done.stdout)


def main() -> None:
    """Print one JSON line."""
    seconds("keras_arch")  # compiles byte code and warms the disk cache
    pairs = [(seconds("keras"), seconds("keras_arch")) for _ in range(ROUNDS)]
    added = statistics.median(ours - theirs for theirs, ours in pairs)
    keras_alone = statistics.median(theirs for theirs, _ in pairs)
    print(json.dumps({"case": "import", "keras_s": round(keras_alone, 3), "added_s": round(added, 3), "goal_s": 0.3}))


if __name__ == "__main__":
    main()
