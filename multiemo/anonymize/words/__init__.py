"""Names, numbers and addresses in transcripts, replaced by what they were."""
