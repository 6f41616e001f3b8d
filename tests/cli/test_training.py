"""The commands that train."""

from __future__ import annotations

import yaml

from multiemo.runs import load_bundle


def test_train_names_the_settings_of_a_recipe_and_keeps_them_in_the_run(cli, small_corpus, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text(
        f"name: x\nlabel_set: demo5\ndevice: cpu\ndata: {{manifest: '{small_corpus}', "
        "split: {val: 0.3, test: 0.34}}\n"
        "encoders: {text: {name: text_transformer, layers: 0, vocab_size: 600}}\nstages: [text]\n",
        "utf-8",
    )
    code, _, said = cli("train", config, "training.epochs=1", "--out", tmp_path / "run")
    assert code == 0
    assert "note: text: recipe of text_transformer: lr " in " ".join(said.split())
    stored = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text("utf-8"))
    assert "ema" in stored["recipes"]["text"]
    assert "epochs" not in stored["recipes"]["text"]  # given on the command line
    assert load_bundle(tmp_path / "run").config.recipes == {}  # a model is not trained by it again
