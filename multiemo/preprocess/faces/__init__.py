"""Pictures -> aligned face crops: detection, tracking, quality, and who is speaking."""
