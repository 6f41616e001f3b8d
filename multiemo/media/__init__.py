"""Open, probe and decode media files. The only package that reads audio and pictures from disk."""
