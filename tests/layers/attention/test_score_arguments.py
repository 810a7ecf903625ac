import numpy as np
import pytest

from keras_arch.layers.attention.score_arguments import fit
from keras_arch.ops.attention import SEQUENCES

pytestmark = pytest.mark.backend


@pytest.mark.parametrize(
    ("argument", "shape", "expected"),
    [
        ("attention_mask", (3, 5), (1, 1, 3, 5)),
        ("attention_mask", (2, 3, 5), (2, 1, 3, 5)),
        ("attention_mask", (2, 4, 3, 5), (2, 4, 3, 5)),
        ("attention_bias", (3, 5), (1, 1, 3, 5)),
        ("attention_bias", (1, 4, 1, 5), (1, 4, 1, 5)),
    ],
)
def test_arguments_get_the_rank_of_the_scores(argument, shape, expected):
    assert tuple(fit(argument, np.ones(shape, "float32"), (2, 4, 3, 5), SEQUENCES).shape) == expected


@pytest.mark.parametrize(("argument", "shape"), [("attention_bias", (2, 3, 5)), ("attention_mask", (5, 3))])
def test_what_does_not_broadcast_is_refused(argument, shape):
    with pytest.raises(ValueError, match=rf"{argument} must broadcast to the scores' shape \(2, 4, 3, 5\)"):
        fit(argument, np.ones(shape, "float32"), (2, 4, 3, 5), SEQUENCES)


def test_none_stays_none():
    assert fit("attention_bias", None, (2, 4, 3, 5), SEQUENCES) is None
