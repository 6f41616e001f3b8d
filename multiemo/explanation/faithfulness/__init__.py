"""How faithful explanations are: checks of evidence against the model, and of modalities against what they claim."""
