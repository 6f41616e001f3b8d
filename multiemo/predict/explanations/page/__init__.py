"""The page of an explanation: one self-contained HTML file in English or Chinese."""
