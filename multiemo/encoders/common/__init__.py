"""Parts shared by the encoders of several modalities."""
