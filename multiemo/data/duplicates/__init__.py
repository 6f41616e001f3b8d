"""Near-duplicate clips: fingerprints of audio and pictures, and the search for matches."""
