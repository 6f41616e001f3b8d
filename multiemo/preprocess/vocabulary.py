"""Whether a tokenizer and the embeddings of a model belong together."""

from __future__ import annotations

from typing import Any

from multiemo.errors import MultiemoError


def check_vocabulary(tokenizer: Any, rows: int | None, where: str, error: type[MultiemoError]) -> None:
    """Refuse a tokenizer that knows no words, or gives ids that the model has no embedding for.

    Transformers makes a tokenizer of special tokens alone where a folder holds none. A special token beyond the
    embeddings is no harm: no text gives it.

    Args:
        tokenizer: of the tokenizers library or of transformers.
        rows: embeddings of the model; ``None`` where that is not known.
        where: begins the message: the folder, or the config key with it.
        error: what is raised.

    Raises:
        MultiemoError: of the class ``error``.
    """
    special = set(getattr(tokenizer, "all_special_ids", ()))
    highest = max((i for i in tokenizer.get_vocab().values() if i not in special), default=None)
    if highest is None:
        raise error(
            f"{where}: there is no tokenizer in it (tokenizer.json, vocab.txt ...), and without one every text is "
            "unknown; save it into the same folder with tokenizer.save_pretrained()"
        )
    if rows is not None and highest >= rows:
        raise error(
            f"{where}: its tokenizer gives ids up to {highest}, and the model has {rows} embeddings: they are not of "
            "one model; save both again, after model.resize_token_embeddings(len(tokenizer)) where tokens were added"
        )
