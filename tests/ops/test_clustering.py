"""k-means of single numbers: against loops, the optimum by dynamic programming, and scikit-learn."""

import numpy as np
import pytest
from oracles.clustering import error, least_error, lloyd

from keras_arch.ops.clustering import SortedValues, kmeans_1d, nearest, plus_plus

SAMPLES = {
    "normal": lambda rng: rng.normal(size=60),
    "two heaps": lambda rng: np.concatenate([rng.normal(-3, 0.1, 30), rng.normal(5, 1, 30)]),
    "an outlier": lambda rng: np.append(rng.normal(size=50), 1e4),
    "many equal": lambda rng: rng.integers(0, 12, size=60) / 3,
}


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("clusters", [2, 3, 5, 9])
def test_the_error_is_close_to_the_least_there_is(name, clusters, rng):
    x = SAMPLES[name](rng)
    values = SortedValues(x)
    tries = [kmeans_1d(values, plus_plus(values, clusters, np.random.default_rng(s)), clusters) for s in range(20)]
    errors, least = [error(x, centroids) for centroids in tries], least_error(x, clusters)
    assert min(errors) >= least * (1 - 1e-9) - 1e-9
    assert min(errors) <= 1.1 * least + 1e-9
    assert np.median(errors) <= 1.5 * least + 1e-9


@pytest.mark.parametrize("clusters", [2, 4, 7])
def test_every_centroid_is_the_one_of_a_loop_over_all_distances(clusters, rng):
    x = rng.normal(size=300)
    start = np.quantile(x, (np.arange(clusters) + 0.5) / clusters)
    np.testing.assert_allclose(kmeans_1d(SortedValues(x), start, clusters), lloyd(x, start), rtol=1e-9)


def test_the_error_is_that_of_scikit_learn(rng):
    cluster = pytest.importorskip("sklearn.cluster", reason="needs the extra keras-arch[demo]")
    x = rng.normal(size=500).astype("float32")
    start = np.linspace(x.min(), x.max(), 8)
    theirs = cluster.KMeans(8, init=start[:, None], n_init=1, max_iter=1000, tol=0).fit(x[:, None])
    assert error(x, kmeans_1d(SortedValues(x), start, 8)) == pytest.approx(theirs.inertia_, rel=1e-4)


def test_centroids_are_means_of_what_is_nearest_to_them(rng):
    x = rng.normal(size=5000).astype("float32")
    centroids = kmeans_1d(SortedValues(x), np.linspace(-3, 3, 16), 16)
    index = nearest(x, centroids)
    np.testing.assert_allclose(centroids, [x[index == k].mean(dtype="float64") for k in range(16)], rtol=1e-6)


@pytest.mark.parametrize("start", [[0.0], [5.0, 6.0, 7.0, 8.0], [-1e30, 1e30], [0.1, 0.1, 0.1]])
def test_centroids_that_nothing_is_nearest_to_are_used_elsewhere(start, rng):
    x = rng.normal(size=1000).astype("float32")
    centroids = kmeans_1d(SortedValues(x), start, 16)
    assert len(np.unique(nearest(x, centroids))) == len(centroids) == 16
    assert error(x, centroids) < 1.3 * 1000 * 0.0115  # Max 1960: 0.01154 for 16 levels of a normal variable


@pytest.mark.parametrize("clusters", [3, 4, 16])
def test_as_few_numbers_as_clusters_are_kept_to_the_last_bit(clusters):
    x = np.array([0.1, 1 / 3, 1 / 3, -7.7, 0.1], "float32")
    # Beside a thousand times −1e8, running sums in float64 know no thousandths.
    x = np.concatenate([x, np.full(1000 if clusters > 3 else 0, -1e8, "float32")])
    centroids = kmeans_1d(SortedValues(x), [0.0], clusters)
    np.testing.assert_array_equal(centroids.astype("float32")[nearest(x, centroids)], x)


def test_neighbours_in_float32_can_be_told_apart():
    x = np.nextafter(np.float32(1), np.float32(2)) + np.arange(40, dtype="float32") * np.float32(2**-23)
    centroids = kmeans_1d(SortedValues(x), [1.0], 8)
    assert 2 <= len(centroids) <= 8
    assert np.isfinite(centroids).all()


def test_draws_follow_the_squared_distance():
    # From the first centroid 0 or 3 at equal odds; then by d²: from 0 to 1 and 3 as 1 : 9, from 3 to 1 and 0 as 4 : 9.
    values, seen = SortedValues([0.0, 1.0, 3.0]), {}
    first = {}
    for seed in range(3000):
        generator = OneDraw(seed)
        pair = tuple(plus_plus(values, 2, generator).tolist())
        key = (generator.first, pair)
        seen[key] = seen.get(key, 0) + 1
        first[generator.first] = first.get(generator.first, 0) + 1
    # Two draws, of which the better is taken: {0, 3} leaves 1, {0, 1} leaves 4, {1, 3} leaves 1.
    assert seen[0, (0.0, 1.0)] / first[0] == pytest.approx(0.1**2, abs=0.01)
    assert seen[2, (0.0, 3.0)] + seen[2, (1.0, 3.0)] == first[2]
    assert seen[1, (0.0, 1.0)] / first[1] == pytest.approx((1 / 5) ** 2, abs=0.02)


class SameLot:
    """A generator whose draws are all the same."""

    def __init__(self, lot):
        self.lot = lot

    def integers(self, n):
        return n // 3

    def random(self, size):
        return np.full(size, self.lot)


@pytest.mark.parametrize("lot", [0.02, 0.2, 0.41, 0.6, 0.83, 0.99])
def test_draws_are_those_of_running_sums_over_all_distances(lot, rng):
    x = np.sort(rng.normal(size=40))
    expected = [x[40 // 3]]
    for _ in range(5):
        squares = np.square(np.subtract.outer(x, expected)).min(axis=1)
        expected.append(x[np.searchsorted(np.cumsum(squares), lot * squares.sum(), side="right")])
    np.testing.assert_array_equal(plus_plus(SortedValues(x), 6, SameLot(lot)), np.sort(expected))


class OneDraw:
    """A generator that remembers the first place it gave."""

    def __init__(self, seed):
        self.generator = np.random.default_rng(seed)

    def integers(self, n):
        self.first = int(self.generator.integers(n))
        return self.first

    def random(self, size):
        return self.generator.random(size)


def test_a_number_on_a_midpoint_belongs_to_the_lower_centroid_wherever_it_is_asked():
    x, centroids = np.array([0.0, 1.0, 2.0]), np.array([0.0, 2.0])
    np.testing.assert_array_equal(SortedValues(x).edges(centroids), [0, 2, 3])
    np.testing.assert_array_equal(nearest(x, centroids), [0, 0, 1])


def test_draws_are_of_the_seed(rng):
    values = SortedValues(rng.normal(size=500))
    one, two, other = (plus_plus(values, 8, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert not np.array_equal(one, other)
    assert np.isin(one, values.values).all()


@pytest.mark.parametrize("clusters", [2, 256, 300])
def test_nearest_is_that_of_a_loop_also_in_several_pieces(clusters, rng, monkeypatch):
    monkeypatch.setattr("keras_arch.ops.clustering.CHUNK", 100)
    x, centroids = rng.normal(size=(17, 31)).astype("float32"), np.sort(rng.normal(size=clusters))
    index = nearest(x, centroids)
    assert (index.shape, index.dtype) == (x.shape, np.dtype("uint8" if clusters <= 256 else "int32"))
    least = np.abs(x[..., None] - centroids).min(axis=-1)
    np.testing.assert_allclose(np.abs(x - centroids[index]), least, atol=1e-6)


def test_errors_and_means_are_those_of_the_stretches(rng):
    x = np.sort(rng.normal(size=50))
    values, edges, centroids = SortedValues(x[::-1]), np.array([0, 7, 7, 50]), np.array([-2.0, 0.0, 0.5])
    parts = [x[:7], x[7:7], x[7:]]
    expected = [((part - c) ** 2).sum() for part, c in zip(parts, centroids, strict=True)]
    np.testing.assert_allclose(values.errors(edges, centroids), expected)
    np.testing.assert_allclose(values.means(edges), [parts[0].mean(), np.nan, parts[2].mean()])
    assert values.distinct() == 50
