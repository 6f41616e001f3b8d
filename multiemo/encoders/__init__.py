"""Encoders, one file a modality; importing the package registers them all."""
