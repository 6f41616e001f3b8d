"""Predictions and features of very many clips: in shards, by many processes, each clip once however often it stops."""

from multiemo.bulk.run import predict_bulk

__all__ = ["predict_bulk"]
