"""Hashed n-grams have the weights of scikit-learn."""

from __future__ import annotations

import torch

from multiemo.encoders.text.ngrams import HashedNgrams


def test_tfidf_bag_is_that_of_scikit_learn():
    from sklearn.feature_extraction.text import TfidfVectorizer

    torch.manual_seed(0)
    bag = HashedNgrams(5, buckets=50, orders=2, dropout=0.0, weighting="tfidf")
    texts = [torch.randint(7, 17, (1, length)) for length in (4, 9, 9, 12, 6, 1)]
    masks = [torch.ones_like(x, dtype=torch.bool) for x in texts]
    rows = [bag._ngrams(x, mask)[0][0].tolist() for x, mask in zip(texts, masks, strict=True)]
    bag.fit(zip(texts, masks, strict=True))
    oracle = TfidfVectorizer(analyzer=lambda runs: runs, min_df=2, sublinear_tf=True, vocabulary=None)
    expected = oracle.fit_transform(rows).toarray()
    assert max(row.count(x) for row in rows for x in row) > 1  # the sublinear term is used
    assert len(oracle.vocabulary_) < len({x for row in rows for x in row})  # and rare runs are left out
    table = bag.table.weight.detach()[list(oracle.get_feature_names_out())]
    got = torch.cat([bag(x, mask) for x, mask in zip(texts, masks, strict=True)])
    assert torch.allclose(got, torch.tensor(expected, dtype=torch.float32) @ table, atol=1e-6)
