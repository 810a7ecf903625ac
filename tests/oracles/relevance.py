"""Rules of relevance as loops over every pair of an input and an output."""

import numpy as np


def stable(z: float, epsilon: float) -> float:
    return z + epsilon * (1.0 if z >= 0 else -1.0)


def dense_relevance(
    x: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray,
    relevance: np.ndarray,
    rule: str,
    tiny: float = 1e-9,
    **options,
) -> np.ndarray:
    """R_i of one sample of a layer z = x W + b, in float64.

    Args:
        x: (I,).
        weights: (I, J).
        bias: (J,).
        relevance: (J,), of the outputs.
        rule: "epsilon", "gamma", "alpha_beta", "flat", "w_square" or "z_box".
        tiny: what keeps denominators from zero.
        **options: epsilon; gamma; alpha and beta; low and high.
    """
    x, weights, bias = (np.asarray(part, "float64") for part in (x, weights, bias))
    found = np.zeros(len(x))
    for j in range(weights.shape[1]):
        parts = [x[i] * weights[i, j] for i in range(len(x))]
        z = sum(parts) + bias[j]
        if rule == "epsilon":
            shares = [part / stable(z, options["epsilon"]) for part in parts]
        elif rule == "gamma":
            keep = (lambda part: max(part, 0.0)) if z > 0 else (lambda part: min(part, 0.0))
            raised = [part + options["gamma"] * keep(part) for part in parts]
            below = stable(sum(raised) + bias[j] + options["gamma"] * keep(bias[j]), tiny)
            shares = [part / below for part in raised]
        elif rule == "alpha_beta":
            up = sum(max(part, 0.0) for part in (*parts, bias[j]))
            down = sum(min(part, 0.0) for part in (*parts, bias[j]))
            shares = [
                options["alpha"] * max(part, 0.0) / stable(up, tiny)
                - options["beta"] * min(part, 0.0) / stable(down, tiny)
                for part in parts
            ]
        elif rule == "flat":
            shares = [1 / len(x)] * len(x)
        elif rule == "w_square":
            shares = [weights[i, j] ** 2 / sum(weights[:, j] ** 2) for i in range(len(x))]
        else:
            low, high = options["low"], options["high"]
            parts = [parts[i] - low * max(weights[i, j], 0.0) - high * min(weights[i, j], 0.0) for i in range(len(x))]
            shares = [part / stable(sum(parts), tiny) for part in parts]
        for i in range(len(x)):
            found[i] += shares[i] * relevance[j]
    return found


def attention_relevance(tokens: np.ndarray, weights: dict[str, np.ndarray], relevance_per_output: np.ndarray):
    """Relevance of tokens (T, D) through multi-head attention whose weights are constants, and its output.

    Args:
        tokens: (T, D), the queries, keys and values.
        weights: "query", "key" (D, N, H), "value" (D, N, V), "output" (N, V, D), with "..._bias" of each.
        relevance_per_output: (T, D), c of each output, of which the relevance is output times c.
    """
    query, key, value = (
        np.einsum("td,dnh->tnh", tokens, weights[name]) + weights[f"{name}_bias"] for name in ("query", "key", "value")
    )
    scores = np.einsum("tnh,snh->nts", query, key) / np.sqrt(query.shape[-1])
    scores = np.exp(scores - scores.max(-1, keepdims=True))
    scores /= scores.sum(-1, keepdims=True)
    output = np.einsum("nts,snv,nvd->td", scores, value, weights["output"]) + weights["output_bias"]
    back = np.einsum("td,nvd->tnv", relevance_per_output, weights["output"])  # c of the heads
    back = np.einsum("nts,tnv->snv", scores, back)  # c of the values
    return tokens * np.einsum("snv,dnv->sd", back, weights["value"]), output
