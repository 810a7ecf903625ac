"""Recurrent cells beside the LSTM, and attention over a memory, by loops over samples, time and units in float64."""

import math

import numpy as np


def sigmoid(v):
    return 1.0 / (1.0 + math.exp(-v))


def relu(v):
    return max(v, 0.0)


def run(step, x, states, mask=None):
    """All outputs (B, T, N) and the last states of each sample.

    step: (x (D,), list of states) -> (output, list of states). states: list of lists of arrays, one list a sample. A
    step whose mask is false repeats the output (zeros at first) and keeps the states.
    """
    outputs, last = [], []
    for n in range(len(x)):
        own, row = states[n], []
        for t in range(x.shape[1]):
            if mask is None or mask[n, t]:
                output, own = step(x[n, t].astype("float64"), own)
                row.append(output)
            else:
                row.append(row[-1] if row else None)
        width = next(len(output) for output in row if output is not None)
        outputs.append([np.zeros(width) if output is None else output for output in row])
        last.append(own)
    return np.array(outputs), [np.array(state) for state in zip(*last, strict=True)]


def nas(x, weights, mask=None, drop=None):
    """weights: W (D, 8N), U (M, 8N), b (8N,), P (N, M) or None. drop: factors of h (M,) before U. States: h, c."""
    kernel, recurrent, bias, projection = (None if w is None else np.asarray(w, "float64") for w in weights)
    units, width = len(bias) // 8, len(recurrent)

    def step(inputs, states):
        h, c = states
        from_inputs, from_state = inputs @ kernel, (h if drop is None else h * drop) @ recurrent + bias
        m, carry = [], []
        for u in range(units):
            p, q = from_inputs[u::units], from_state[u::units]
            first = math.tanh(math.tanh(sigmoid(p[0] + q[0]) * relu(p[1] + q[1])) + c[u])
            second = math.tanh(sigmoid(p[2] + q[2]) + relu(p[3] * q[3]))
            third = math.tanh(math.tanh(p[4] + q[4]) * sigmoid(p[5] + q[5]))
            fourth = sigmoid(math.tanh(p[6] + q[6]) + sigmoid(p[7] + q[7]))
            carry.append(first * second)
            m.append(math.tanh(first * second * math.tanh(third + fourth)))
        h = np.array(m) if projection is None else np.array(m) @ projection
        return h, [h, np.array(carry)]

    return run(step, x, [[np.zeros(width), np.zeros(units)] for _ in x], mask)


def ind_rnn(x, weights, activation=relu, mask=None, drop=None):
    """weights: W (D, N), u (N,), b (N,). drop: factors of h (N,) before u. State: h."""
    kernel, recurrent, bias = (np.asarray(w, "float64") for w in weights)

    def step(inputs, states):
        (h,) = states
        past = h if drop is None else h * drop
        h = np.array(
            [activation(sum(inputs * kernel[:, u]) + recurrent[u] * past[u] + bias[u]) for u in range(len(bias))]
        )
        return h, [h]

    return run(step, x, [[np.zeros(len(bias))] for _ in x], mask)


def echo_state(x, weights, leak_rate, h=None, mask=None):
    """weights: W (D, N), U (N, N), b (N,). h: (B, N), zeros if None. State: h."""
    kernel, recurrent, bias = (np.asarray(w, "float64") for w in weights)
    h = np.zeros((len(x), len(bias))) if h is None else h

    def step(inputs, states):
        (h,) = states
        new = [math.tanh(sum(inputs * kernel[:, u]) + sum(h * recurrent[:, u]) + bias[u]) for u in range(len(bias))]
        h = (1 - leak_rate) * h + leak_rate * np.array(new)
        return h, [h]

    return run(step, x, [[row.astype("float64")] for row in h], mask)


def simple_cell(kernel, recurrent, bias):
    """The step of Keras's SimpleRNNCell, for a cell inside another."""

    def step(inputs, states):
        h = np.tanh(inputs @ kernel + states[0] @ recurrent + bias)
        return h, [h]

    return step


def attention(x, memory, cell, states, weights, score, feed=True, activation=math.tanh, visible=None, mask=None):
    """Outputs (B, T, N), the last states and the alignments (B, T, S) of an attention cell around a cell.

    cell: a step. states: its initial states, a list of arrays a sample. weights: dict of "memory" (M, U), "attention"
    (H + M, N) and, by the score, "query" (H, U), "direction" (U,), "gain" and "shift" (U,). visible: bool (B, S).
    """
    weights = {name: np.asarray(w, "float64") for name, w in weights.items()}
    size = weights["attention"].shape[1]
    outputs, last, alignments = [], [], []
    for n in range(len(x)):
        values = memory[n].astype("float64")
        keys = values @ weights["memory"]
        shown = [s for s in range(len(values)) if visible is None or visible[n, s]]
        rows = []

        def step(inputs, states, values=values, keys=keys, shown=shown, rows=rows):
            before, *own = states
            output, own = cell(np.concatenate([inputs, before]) if feed else inputs, own)
            scores = {}
            for s in shown:
                if "luong" in score:
                    scores[s] = float(weights.get("gain", 1.0)) * sum(output * keys[s])
                else:
                    direction, shift = weights["direction"], weights.get("shift", 0.0)
                    if score == "normed_bahdanau":
                        direction = weights["gain"] * direction / math.sqrt(sum(direction**2))
                    scores[s] = sum(direction * np.tanh(output @ weights["query"] + keys[s] + shift))
            total = sum(math.exp(v) for v in scores.values())
            row = np.array([math.exp(scores[s]) / total if s in scores else 0.0 for s in range(len(values))])
            context = sum(row[s] * values[s] for s in range(len(values)))
            vector = np.array([activation(v) for v in np.concatenate([output, context]) @ weights["attention"]])
            rows.append(row)
            return vector, [vector, *own]

        own_mask = None if mask is None else mask[n : n + 1]
        output, after = run(step, x[n : n + 1], [[np.zeros(size), *states[n]]], own_mask)
        filled, taken = [], iter(rows)
        for t in range(x.shape[1]):
            seen = mask is None or mask[n, t]
            filled.append(next(taken) if seen else (filled[-1] if filled else np.zeros(len(values))))
        outputs.append(output[0])
        last.append([state[0] for state in after])
        alignments.append(filled)
    return np.array(outputs), [np.array(state) for state in zip(*last, strict=True)], np.array(alignments)
