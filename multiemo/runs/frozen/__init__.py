"""What frozen encoders and frozen backbones compute: once per clip, cached, and used in training instead of inputs."""
