"""What several tests build on: media files, tiny models, corpora, and scripts for other processes."""
