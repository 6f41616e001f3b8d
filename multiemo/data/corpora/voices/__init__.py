"""Speech without pictures."""
