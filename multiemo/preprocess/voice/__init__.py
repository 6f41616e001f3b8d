"""Sound -> prosody, log-mel bands and waveforms."""
