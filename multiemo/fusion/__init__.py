"""Late fusion: {modality: [B, D]} + presence -> [B, D]; importing the package registers them all."""
