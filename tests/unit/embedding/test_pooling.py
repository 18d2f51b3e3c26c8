import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cryosamu.config import PoolingSettings
from cryosamu.embedding import pooling
from cryosamu.embedding.pooling import pool, pool_batch


def softmax(values):
    exponentials = [math.exp(value - max(values)) for value in values]
    return [value / sum(exponentials) for value in exponentials]


def reference_weights(vectors, options):
    """Steps 2 and 3 as the poster writes them, one number after the other."""
    scale = math.sqrt(len(vectors[0])) if options.scaled else 1.0
    table = [softmax([float(a @ b) / scale for b in vectors]) for a in vectors]
    count = len(vectors)
    if options.importance == "literal":
        return [sum(table[i][j] for j in range(count)) / count for i in range(count)]
    return [sum(table[j][i] for j in range(count)) / count for i in range(count)]


def reference_pool(embeddings, observed, options):
    """All six steps in plain loops over float64 numpy rows."""
    means = []
    for rows, seen in zip(embeddings, observed, strict=True):
        means.append(
            sum(row for row, is_seen in zip(rows, seen, strict=True) if is_seen) / sum(seen)
        )
    weights = reference_weights(means, options)
    pooled, places = [], []
    for place in range(max(map(len, embeddings))):
        total, weight_here = 0.0, 0.0
        for weight, rows, seen in zip(weights, embeddings, observed, strict=True):
            if place < len(rows) and seen[place]:
                total = total + weight * rows[place]
                weight_here += weight
        if weight_here:
            pooled.append(total / (weight_here if options.renormalised else 1))
            places.append(place)
    alpha = reference_weights(pooled, options)
    if options.importance == "literal":
        alpha = [1 / len(alpha)] * len(alpha)  # what it is but for rounding
    order = sorted(range(len(alpha)), key=lambda index: (-alpha[index], index))
    kept = sorted(order[: options.tokens])
    tokens = [(pooled[k] - pooled[k].mean()) / math.sqrt(pooled[k].var() + 1e-5) for k in kept]
    return weights, dict(zip(places, alpha, strict=True)), [places[k] for k in kept], tokens


def ragged(seed, lengths, width=6):
    random = np.random.default_rng(seed)
    embeddings = [random.normal(size=(length, width)) for length in lengths]
    observed = [random.random(length) < 0.8 for length in lengths]
    for seen in observed:
        seen[random.integers(len(seen))] = True
    return embeddings, observed


def tensors(embeddings, observed):
    return [torch.from_numpy(e) for e in embeddings], [torch.from_numpy(o) for o in observed]


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 10_000),
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=4),
    count=st.integers(1, 15),
    importance=st.sampled_from(["column_mean", "literal"]),
    scaled=st.booleans(),
    renormalised=st.booleans(),
)
def test_agrees_with_plain_loops(seed, lengths, count, importance, scaled, renormalised):
    options = PoolingSettings(
        tokens=count, importance=importance, scaled=scaled, renormalised=renormalised
    )
    embeddings, observed = ragged(seed, lengths)
    weights, alpha, kept, tokens = reference_pool(embeddings, observed, options)
    result = pool(*tensors(embeddings, observed), options)
    np.testing.assert_allclose(result.chain_weights, weights, atol=1e-12)
    full = [alpha.get(place, 0.0) for place in range(max(lengths))]
    np.testing.assert_allclose(result.residue_weights, full, atol=1e-12)
    assert result.tokens.shape == (count, 6)
    assert result.rows[result.mask].tolist() == kept
    np.testing.assert_allclose(result.tokens[result.mask], np.array(tokens), atol=1e-9)
    assert not result.tokens[~result.mask].any()
    assert (result.rows[~result.mask] == -1).all()


def test_importance_of_two_chains_by_hand():
    # Means (2, 0) and (1, 0): S = [[4, 2], [2, 1]], so W = [[p, 1-p], [q, 1-q]] with
    # p = 1/(1+e^-2), q = 1/(1+e^-1); the column means are (p+q)/2 and 1 - (p+q)/2.
    embeddings = [torch.tensor([[2.0, 0.0]]), torch.tensor([[1.0, 0.0]])]
    observed = [torch.tensor([True])] * 2
    options = PoolingSettings(tokens=1, scaled=False)
    p, q = 1 / (1 + math.exp(-2)), 1 / (1 + math.exp(-1))
    weights = pool(embeddings, observed, options).chain_weights
    assert weights.tolist() == pytest.approx([(p + q) / 2, 1 - (p + q) / 2], abs=1e-6)
    scaled = pool(embeddings, observed, PoolingSettings(tokens=1, scaled=True)).chain_weights
    p, q = 1 / (1 + math.exp(-math.sqrt(2))), 1 / (1 + math.exp(-1 / math.sqrt(2)))
    assert scaled.tolist() == pytest.approx([(p + q) / 2, 1 - (p + q) / 2], abs=1e-6)


def test_literal_reading_is_uniform():
    embeddings, observed = tensors(*ragged(1, [9, 4, 7]))
    result = pool(embeddings, observed, PoolingSettings(tokens=4, importance="literal"))
    assert result.chain_weights.tolist() == [1 / 3] * 3
    there = result.residue_weights > 0
    assert len(result.residue_weights[there].unique()) == 1
    assert result.chain_entropy == pytest.approx(math.log(3))
    assert result.residue_entropy == pytest.approx(math.log(int(there.sum())))


def test_equal_chains_weigh_the_same_and_pool_to_themselves():
    rows = torch.from_numpy(np.random.default_rng(0).normal(size=(8, 5)))
    seen = torch.ones(8, dtype=torch.bool)
    three = pool([rows] * 3, [seen] * 3, PoolingSettings(tokens=5))
    one = pool([rows], [seen], PoolingSettings(tokens=5))
    assert three.chain_weights.tolist() == pytest.approx([1 / 3] * 3)
    assert one.chain_weights.tolist() == [1.0]
    assert one.chain_entropy == 0.0
    torch.testing.assert_close(three.tokens, one.tokens)


def test_a_chain_far_longer_than_the_rest_pools_to_itself_past_their_end():
    random = np.random.default_rng(3)
    long, short = (torch.from_numpy(random.normal(size=(n, 4))) for n in (50, 5))
    result = pool(
        [short, long],
        [torch.ones(5, dtype=torch.bool), torch.ones(50, dtype=torch.bool)],
        PoolingSettings(tokens=50),
    )
    expected = torch.nn.functional.layer_norm(long[5:], (4,))
    torch.testing.assert_close(result.tokens[5:], expected)


def test_fewer_residues_than_tokens_are_padded_and_masked():
    rows = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    result = pool([rows], [torch.ones(3, dtype=torch.bool)], PoolingSettings(tokens=7))
    assert result.mask.tolist() == [True] * 3 + [False] * 4
    assert result.rows.tolist() == [0, 1, 2, -1, -1, -1, -1]


def test_the_most_important_rows_are_kept_in_sequence_order():
    # Rows along one axis: the larger a row, the more of everyone's attention it draws.
    rows = torch.tensor([[1.0, 0], [5.0, 0], [2.0, 0], [9.0, 0], [3.0, 0]])
    result = pool([rows], [torch.ones(5, dtype=torch.bool)], PoolingSettings(tokens=3))
    assert result.rows.tolist() == [1, 3, 4]
    assert result.residue_weights.argsort().tolist() == [0, 2, 4, 1, 3]


def test_equal_importance_keeps_the_earlier_row():
    rows = torch.ones(6, 3)
    result = pool([rows], [torch.ones(6, dtype=torch.bool)], PoolingSettings(tokens=2))
    assert result.rows.tolist() == [0, 1]


def test_what_is_not_observed_does_not_matter():
    embeddings, observed = ragged(5, [10, 6])
    before = pool(*tensors(embeddings, observed), PoolingSettings(tokens=8))
    for rows, seen in zip(embeddings, observed, strict=True):
        rows[~seen] = np.nan
    after = pool(*tensors(embeddings, observed), PoolingSettings(tokens=8))
    torch.testing.assert_close(before.tokens, after.tokens, rtol=0, atol=0)


def test_a_chain_with_nothing_observed_is_left_out():
    embeddings, observed = tensors(*ragged(6, [7, 5]))
    alone = pool(embeddings[:1], observed[:1], PoolingSettings(tokens=4))
    blind = [observed[0], torch.zeros(5, dtype=torch.bool)]
    both = pool(embeddings, blind, PoolingSettings(tokens=4))
    assert both.chain_weights.tolist() == [1.0, 0.0]
    torch.testing.assert_close(both.tokens, alone.tokens)
    with pytest.raises(ValueError, match="at least one observed residue"):
        pool(embeddings[1:], blind[1:], PoolingSettings(tokens=4))


@given(seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=20)
def test_order_of_chains_does_not_matter(seed):
    embeddings, observed = tensors(*ragged(seed, [6, 9, 3]))
    forward = pool(embeddings, observed, PoolingSettings(tokens=5))
    backward = pool(embeddings[::-1], observed[::-1], PoolingSettings(tokens=5))
    torch.testing.assert_close(forward.tokens, backward.tokens)


def test_tokens_have_unit_scale_whatever_the_encoder():
    embeddings, observed = tensors(*ragged(2, [20, 20], width=64))
    for scale in (1e-2, 1e3):
        result = pool([scale * e for e in embeddings], observed, PoolingSettings(tokens=10))
        tokens = result.tokens[result.mask]
        torch.testing.assert_close(tokens.mean(1), torch.zeros(10).double(), atol=1e-6, rtol=0)
        torch.testing.assert_close(
            tokens.std(1, correction=0), torch.ones(10).double(), atol=0.1, rtol=0
        )


def test_gradients_reach_every_observed_residue_that_counts():
    embeddings, observed = tensors(*ragged(8, [5, 4]))
    leaves = [e.clone().requires_grad_() for e in embeddings]
    pool(leaves, observed, PoolingSettings(tokens=5)).tokens.square().mul(
        torch.arange(6.0)
    ).sum().backward()
    for leaf, seen in zip(leaves, observed, strict=True):
        assert leaf.grad[seen].abs().sum(1).gt(0).all()
        assert not leaf.grad[~seen].any()
    assert torch.autograd.gradcheck(
        lambda *chains: pool(chains, observed, PoolingSettings(tokens=9)).tokens, leaves
    )


def test_blocks_do_not_change_the_weights(monkeypatch):
    embeddings, observed = tensors(*ragged(9, [30, 20]))
    whole = pool(embeddings, observed, PoolingSettings(tokens=9)).residue_weights
    monkeypatch.setattr(pooling, "_BLOCK_ROWS", 4)
    parts = pool(embeddings, observed, PoolingSettings(tokens=9)).residue_weights
    torch.testing.assert_close(whole, parts, rtol=1e-12, atol=0)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10_000), importance=st.sampled_from(["column_mean", "literal"]))
def test_a_batch_is_its_structures_one_by_one(seed, importance):
    random = np.random.default_rng(seed)
    options = PoolingSettings(tokens=6, importance=importance)
    structures = [
        tensors(*ragged(seed + n, random.integers(1, 10, size=random.integers(1, 5)).tolist()))
        for n in range(4)
    ]
    batch = pool_batch([e for e, _ in structures], [o for _, o in structures], options)
    assert batch.tokens.shape == (4, 6, 6)
    for number, (embeddings, observed) in enumerate(structures):
        alone = pool(embeddings, observed, options)
        torch.testing.assert_close(batch.tokens[number], alone.tokens)
        assert torch.equal(batch.mask[number], alone.mask)
        assert torch.equal(batch.rows[number], alone.rows)
        chains, residues = len(alone.chain_weights), len(alone.residue_weights)
        torch.testing.assert_close(batch.chain_weights[number, :chains], alone.chain_weights)
        torch.testing.assert_close(batch.residue_weights[number, :residues], alone.residue_weights)
        assert not batch.chain_weights[number, chains:].any()
        assert not batch.residue_weights[number, residues:].any()
        assert batch.residues[number] == alone.residues
        torch.testing.assert_close(batch.chain_entropy[number], alone.chain_entropy)


def test_gradients_of_a_batch_are_finite_in_spite_of_padding():
    one, two = tensors(*ragged(1, [3, 2])), tensors(*ragged(2, [5]))
    leaves = [[e.clone().requires_grad_() for e in chains] for chains, _ in (one, two)]
    found = pool_batch(leaves, [one[1], two[1]], PoolingSettings(tokens=9))
    (found.tokens * torch.arange(6.0)).square().sum().backward()
    for leaf in (leaf for chains in leaves for leaf in chains):
        assert torch.isfinite(leaf.grad).all()
        assert leaf.grad.any()


def test_weights_that_round_to_zero_still_pool_what_is_theirs_alone():
    """Dot products of wide vectors drive a softmax to exactly 0 and 1 in float32."""
    generator = torch.Generator().manual_seed(0)
    loud, faint = 40 * torch.ones(2, 8), 1 + 0.3 * torch.randn(5, 8, generator=generator)
    seen = [torch.ones(2, dtype=torch.bool), torch.ones(5, dtype=torch.bool)]
    result = pool([loud, faint], seen, PoolingSettings(tokens=5, scaled=False))
    assert result.chain_weights.tolist() == [1.0, 0.0]
    assert torch.isfinite(result.tokens).all()
    expected = torch.nn.functional.layer_norm(faint[2:], (8,))
    torch.testing.assert_close(result.tokens[2:], expected)
    assert result.residues == 5


def test_the_plain_sum_fades_past_the_end_of_the_shorter_chain():
    # Equal means, so equal weights of one half; only the longer chain has a third row.
    short = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    long = torch.tensor([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    seen = [torch.ones(2, dtype=torch.bool), torch.ones(3, dtype=torch.bool)]
    weights = {
        renormalised: pool(
            [short, long], seen, PoolingSettings(tokens=3, renormalised=renormalised, scaled=False)
        ).residue_weights.tolist()
        for renormalised in (True, False)
    }
    assert weights[True] == pytest.approx([1 / 3] * 3)
    # Rows 1, 1 and 1/2: W's rows are softmax(1, 1, 1/2) twice and softmax(1/2, 1/2, 1/4).
    whole, half = (
        math.e / (2 * math.e + math.exp(0.5)),
        math.exp(0.5) / (2 * math.exp(0.5) + math.exp(0.25)),
    )
    first = (2 * whole + half) / 3
    assert weights[False] == pytest.approx([first, first, 1 - 2 * first])
