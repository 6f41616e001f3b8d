"""Check that a tokenizer and the embeddings of a model belong together."""

from __future__ import annotations

from typing import Any

from multiemo.errors import MultiemoError


def check_vocabulary(tokenizer: Any, rows: int | None, where: str, error: type[MultiemoError]) -> None:
    """Refuse a tokenizer without words, or with ids for which the model has no embedding.

    If a folder holds no tokenizer, transformers creates one with only special tokens. A special token beyond the
    embeddings is harmless, because no text contains it.

    Args:
        tokenizer: a tokenizer of the tokenizers library or of transformers.
        rows: number of the model's embeddings; ``None`` if unknown.
        where: beginning of the message: the folder, or the config key with it.
        error: class of the error to raise.

    Raises:
        MultiemoError: of the class ``error``, if they do not belong together.
    """
    special = set(getattr(tokenizer, "all_special_ids", ()))
    highest = max((i for i in tokenizer.get_vocab().values() if i not in special), default=None)
    if highest is None:
        raise error(
            f"{where}: there is no tokenizer in it (tokenizer.json, vocab.txt ...), so every text would be "
            "unknown; save it into the same folder with tokenizer.save_pretrained()"
        )
    if rows is not None and highest >= rows:
        raise error(
            f"{where}: its tokenizer gives ids up to {highest}, but the model has only {rows} embeddings; save both "
            "again, after model.resize_token_embeddings(len(tokenizer)) if tokens were added"
        )
