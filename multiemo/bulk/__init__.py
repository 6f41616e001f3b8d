"""Predicts very many clips in shards with many processes, resumably: each clip is predicted once."""

from multiemo.bulk.run import predict_bulk

__all__ = ["predict_bulk"]
