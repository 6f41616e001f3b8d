"""Pictures -> aligned face crops: detection, tracking, quality, who speaks."""
