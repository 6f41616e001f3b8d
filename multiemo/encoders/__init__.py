"""Encoders, one file a modality; importing the package registers them all."""

from multiemo.encoders import face, features, speech, speech_pretrained, text, text_pretrained
from multiemo.encoders.base import Encoder

__all__ = ["Encoder", "face", "features", "speech", "speech_pretrained", "text", "text_pretrained"]
