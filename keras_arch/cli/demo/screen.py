"""What the demo shows: a progress bar a stage, a closing table, and one line for a failure."""

from collections.abc import Iterator
from contextlib import contextmanager

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table


class Screen:
    """A terminal or a plain text stream: bars move in the first, finished stages are lines in the second."""

    def __init__(self, console: Console | None = None, errors: Console | None = None):
        self.console = console or Console()
        self.errors = errors or Console(stderr=True)

    def say(self, text: str) -> None:
        """Print one line of plain text."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def fail(self, text: str) -> None:
        """Print one line to standard error."""
        self.errors.print(f"keras-arch: {text}", markup=False, highlight=False, soft_wrap=True)

    def show(self, table: Table) -> None:
        """Print a table."""
        self.console.print(table)

    @contextmanager
    def stage(self, title: str, epochs: int = 0) -> Iterator["Stage"]:
        """Show one stage while it runs; the stage's `note` stands behind it when it is done."""
        columns = (TextColumn("{task.description}"), BarColumn(24), MofNCompleteColumn(), TimeElapsedColumn())
        note = TextColumn("{task.fields[note]}")
        quiet = not self.console.is_terminal
        with Progress(*columns, note, console=self.console, transient=True, disable=quiet) as progress:
            stage = Stage(progress, progress.add_task(title, total=epochs or None, note=""))
            yield stage
        seconds = progress.tasks[0].finished_time or progress.tasks[0].elapsed or 0.0
        self.say(f"{title:<34} {seconds:5.1f} s  {stage.note}")


class Stage:
    """One running stage: a task of the progress bar, and what there is to say of it."""

    def __init__(self, progress: Progress, task: TaskID):
        self._progress = progress
        self._task = task
        self.note = ""

    def callback(self) -> keras.callbacks.Callback:
        """A Keras callback that moves the bar by one at each epoch's end and shows the metrics."""

        def advance(epoch: int, logs: dict | None) -> None:
            note = "  ".join(f"{name} {value:.3f}" for name, value in (logs or {}).items())
            self._progress.update(self._task, advance=1, note=note)

        return keras.callbacks.LambdaCallback(on_epoch_end=advance)
