"""Voices that are harder to recognise: the McAdams coefficient, and a shift of pitch and formants."""
