"""A key of the cache changes with everything that it is made from."""

from __future__ import annotations

import torch

from multiemo.data.cache.keys import embedding_key, span_key, text_key, weights_digest


def test_a_key_changes_with_everything_it_is_made_from() -> None:
    spec = {"kind": "text", "max_tokens": 8}
    turn = [(True, "a")]
    keys = [
        text_key("x", (), spec), text_key("y", (), spec), text_key("x", turn, spec),
        text_key("x", [(False, "a")], spec), text_key("x", [*turn, *turn], spec),
        text_key("x", (), {**spec, "max_tokens": 9}),
        span_key("x", None, None, spec), span_key("x", 0.0, None, spec), span_key("x", None, 1.0, spec),
        span_key("x", None, None, {**spec, "key": "row"}),
    ]  # fmt: skip
    keys += [embedding_key(k, w) for k in keys for w in ("aa", "ab")]
    assert len(set(keys)) == len(keys)
    assert text_key("x", [(True, "a")], spec) == text_key("x", ((True, "a"),), dict(reversed(spec.items())))


def test_weights_digest_sees_names_types_shapes_bytes_and_facts() -> None:
    state = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.zeros(2, dtype=torch.bfloat16), "c": torch.zeros(0)}
    digests = [
        weights_digest(state), weights_digest(state, {"pooling": "mean"}),
        weights_digest({**state, "a": state["a"].reshape(3, 2)}), weights_digest({**state, "a": state["a"].int()}),
        weights_digest({**state, "b": torch.zeros(2, dtype=torch.float16)}),
        weights_digest({"x": state["a"], "b": state["b"], "c": state["c"]}),
        weights_digest({**state, "a": state["a"].clone().index_fill_(0, torch.tensor([1]), -0.0)}),
        weights_digest({"a": state["a"], "b": state["b"]}),
    ]  # fmt: skip
    assert len(set(digests)) == len(digests)
    assert weights_digest(dict(reversed(state.items())), threads=3) == digests[0]
    assert weights_digest({**state, "a": state["a"].T.contiguous().T}) == digests[0]
