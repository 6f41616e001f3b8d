"""Parts that encoders of several modalities share."""
