"""Masked tokens: what is hidden and predicted, the loss, and that the encoder learns."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import AutoTokenizer

from multiemo.encoders.common.lora import Lora
from multiemo.encoders.text.masked_tokens import MaskedTokens
from multiemo.encoders.text.text_pretrained import TextPretrained
from multiemo.errors import ConfigError
from multiemo.types import TEXT_SPECIALS
from tests.support.no_sync import no_sync, skip_what_waits
from tests.support.tiny_text import ARCHITECTURES, batch, save_roberta, save_t5, scratch, tiny

SIZE, WIDTH, SPECIAL, MASK = 50, 8, (0, 1, 2, 3), 1


class Reader(nn.Module):
    """An encoder that reads one token at a time and records its input."""

    def __init__(self, scale: float = 1.0) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(SIZE, WIDTH)
        nn.init.normal_(self.table.weight, std=scale)

    def token_states(self, x, mask):
        self.given = x
        return self.table(x)

    def token_table(self):
        return self.table


def task(reader: Reader) -> MaskedTokens:
    return MaskedTokens(reader.table, WIDTH, SPECIAL, MASK)


def texts(rows: int, length: int, real: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.randint(len(SPECIAL), SIZE, (rows, length))
    x[:, 0], x[:, length // 2] = 2, 3
    mask = torch.ones(rows, length, dtype=torch.bool)
    if real is not None:
        mask[:, real:] = False
    return x.masked_fill(~mask, 0), mask


def test_berts_shares_are_kept():
    torch.manual_seed(0)
    reader = Reader()
    x, mask = texts(4000, 42)
    pretext = task(reader)
    places, drawn = pretext._draw(x, mask)
    assert drawn.sum(1).unique().tolist() == [6]  # of 40 ordinary tokens
    hidden = pretext._hide(x, places, drawn)
    asked = torch.zeros_like(mask).scatter(1, places, drawn)
    assert torch.equal(hidden[~asked], x[~asked])
    masked = (hidden[asked] == MASK).float().mean()
    kept = (hidden[asked] == x[asked]).float().mean()
    assert masked == pytest.approx(0.8, abs=0.01)
    assert kept == pytest.approx(0.1 + 0.1 / 46, abs=0.01)
    others = hidden[asked & (hidden != MASK) & (hidden != x)]
    assert set(others.tolist()) == set(range(4, SIZE))
    counts = asked.float().sum(0)
    assert counts[[0, 21]].tolist() == [0, 0]
    assert counts[counts > 0] / 4000 == pytest.approx(torch.full((40,), 0.15), abs=0.03)


@pytest.mark.parametrize(("real", "expected"), [(2, 1), (5, 1), (12, 2), (30, 4)])
def test_short_texts_teach_too_and_padding_is_never_asked(real, expected):
    torch.manual_seed(0)
    x, mask = texts(50, 30, real)
    x[:, 15] = 9
    places, drawn = task(Reader())._draw(x, mask)
    assert drawn.sum(1).unique().tolist() == [expected]
    assert mask.gather(1, places)[drawn].all()
    assert not torch.isin(x.gather(1, places)[drawn], torch.tensor(SPECIAL)).any()


def test_loss_and_guess_against_plain_python():
    reader = Reader()
    pretext = task(reader).train()
    torch.manual_seed(0)
    nn.init.normal_(pretext.bias)
    earlier, later = texts(6, 20, 17), texts(5, 24, 22)
    pretext(reader, *earlier)
    seen = Counter(t for t in earlier[0].flatten().tolist() if t not in SPECIAL)
    torch.manual_seed(7)
    places, drawn = pretext._draw(*later)
    torch.manual_seed(7)
    loss, guess = pretext(reader, *later)
    losses, guesses = [], []
    for row, (at, asked) in enumerate(zip(places, drawn, strict=True)):
        for place in at[asked].tolist():
            token = int(later[0][row, place])
            state = pretext.transform(reader.table(reader.given[row, place]))
            scores = [float(state @ e + b) for e, b in zip(reader.table.weight, pretext.bias, strict=True)]
            losses.append(math.log(sum(math.exp(s) for s in scores)) - scores[token])
            guesses.append(-math.log((seen[token] + 1) / (sum(seen.values()) + SIZE - len(SPECIAL))))
    assert len(losses) == int(drawn.sum()) > 5
    assert float(loss) == pytest.approx(sum(losses) / len(losses), rel=1e-5)
    assert float(guess) == pytest.approx(sum(guesses) / len(guesses), rel=1e-5)
    assert not guess.requires_grad


def test_frequencies_come_from_training_alone_and_are_kept():
    reader = Reader()
    pretext = task(reader)
    torch.manual_seed(0)
    x, mask = texts(6, 20, 17)
    pretext.eval()(reader, x, mask)
    assert pretext.counts.sum() == 0
    pretext.train()(reader, x, mask)
    expected = torch.bincount(x[mask & (x > 3)], minlength=SIZE)
    assert torch.equal(pretext.counts, expected)
    again = task(reader)
    again.load_state_dict(pretext.state_dict())
    assert torch.equal(again.counts, expected)


def test_nothing_to_ask_is_no_loss():
    reader = Reader()
    x = torch.tensor([[2, 3, 0]])
    loss, guess = task(reader)(reader, x, x > 0)
    loss.backward()
    assert (float(loss), float(guess)) == (0.0, 0.0)


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])
def test_the_first_logits_are_moderate_whatever_the_scale_of_the_embeddings(scale):
    reader = Reader(scale)
    torch.manual_seed(0)
    loss, _ = task(reader)(reader, *texts(50, 30))
    assert float(loss) == pytest.approx(math.log(SIZE), abs=1.0)


def test_the_decoder_is_the_input_table():
    reader = Reader()
    pretext = task(reader)
    assert {n: tuple(p.shape) for n, p in pretext.named_parameters() if SIZE in p.shape} == {"bias": (SIZE,)}
    torch.manual_seed(0)
    x = torch.full((1, 9), 5)
    pretext(reader, x, torch.ones_like(x, dtype=torch.bool))[0].backward()
    assert reader.table.weight.grad[40].any()  # a token that is nowhere in the text


@pytest.mark.parametrize("name", ["small", "context", *ARCHITECTURES])
def test_a_step_teaches_what_reads_and_reads_nothing_back(tmp_path: Path, name):
    skip_what_waits(name)
    encoder = tiny(tmp_path, name) if name in ARCHITECTURES else scratch(context=int(name == "context"), layers=2)
    pretext = encoder.masked_task().train()
    x, mask = batch()
    with no_sync():
        loss, guess = pretext(encoder.train(), x, mask)
        loss.backward()
    assert loss.isfinite()
    assert guess.isfinite()
    deep = [p for group in encoder.layer_groups()[:-1] for p in group if p.requires_grad]
    starved = [p.shape for p in [*deep, *pretext.parameters()] if p.grad is None]
    assert starved == []


def test_the_small_encoder_learns_which_tokens_go_together():
    encoder = scratch(dim=32, dropout=0.0, vocab_size=40)
    pretext = encoder.masked_task()
    torch.manual_seed(0)
    optimizer = torch.optim.Adam([*encoder.parameters(), *pretext.parameters()], lr=5e-3)
    history = []
    for _ in range(120):
        kinds = torch.randint(7, 37, (32, 1))
        x = torch.cat([torch.full((32, 1), 2), kinds.repeat(1, 10), torch.full((32, 1), 3)], dim=1)
        loss, guess = pretext(encoder, x, torch.ones_like(x, dtype=torch.bool))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append((float(loss), float(guess)))
    losses, guesses = (sum(h[i] for h in history[-20:]) / 20 for i in (0, 1))
    assert guesses == pytest.approx(math.log(30), abs=0.05)
    assert losses < 0.5 * guesses


def test_word_dropout_is_not_added_to_what_is_hidden():
    encoder = scratch(token_dropout=0.99, dropout=0.0).train()
    x, mask = batch()
    assert torch.equal(encoder.token_states(x, mask), encoder.token_states(x, mask))


def test_adapters_learn_from_hidden_tokens(tmp_path: Path):
    encoder = tiny(tmp_path, "roberta", lora=Lora(rank=2)).train()
    encoder.masked_task()(encoder, *batch())[0].backward()
    learning = {n for n, p in encoder.named_parameters() if p.grad is not None}
    assert learning
    assert all("lora_" in n for n in learning)


def test_the_task_is_the_same_after_a_checkpoint(tmp_path: Path):
    first = tiny(tmp_path, "bert")
    first.save_assets(tmp_path / "assets")
    again = TextPretrained(model="gone/model", max_tokens=24, assets=tmp_path / "assets").masked_task()
    assert again.mask_token == first.masked_task().mask_token == TEXT_SPECIALS.index("[MASK]")
    assert again.special.nonzero().flatten().tolist() == [0, 1, 2, 3, 4]
    assert torch.equal(again.ordinary, first.masked_task().ordinary)


def test_the_unknown_token_hides_where_there_is_no_mask_token(tmp_path: Path):
    folder = save_roberta(tmp_path / "roberta")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.unk_token = "<pad>"
    tokenizer.save_pretrained(folder)
    assert TextPretrained(model=str(folder), max_tokens=24).masked_task().mask_token == 1


def test_what_cannot_learn_from_hidden_tokens_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"encoders\.text\.model: its tokenizer has neither a mask nor an unknown"):
        TextPretrained(model=str(save_t5(tmp_path / "t5")), max_tokens=24).masked_task()
    with pytest.raises(ConfigError, match=r"encoders\.text\.freeze: a frozen backbone learns nothing"):
        tiny(tmp_path, "bert", freeze=True).masked_task()
    with pytest.raises(ConfigError, match=r"encoders\.text\.layers: 0 leaves only bags"):
        scratch(layers=0).masked_task()
