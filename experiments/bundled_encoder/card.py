"""The encoder as a folder that `transformers` loads, with a card that says what it was made of.

Weights are stored in float16, half the size; config.json says float32, and so they are loaded. Every figure of the
card is one that the training measured.
"""

import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import PreTrainedModel

from experiments.bundled_encoder.corpus import Corpus
from experiments.bundled_encoder.emotions import Taught
from experiments.bundled_encoder.pretraining import HELD_OUT, Pretraining

DROPOUT = 0.1  # while it is fine-tuned; the pre-training has none


def write_encoder(training: Pretraining, corpus: Corpus, folder: Path, command: str, taught: Taught | None) -> None:
    """Write `config.json`, `model.safetensors`, the tokenizer and `README.md`.

    Args:
        training: at its end.
        folder: made, or written over.
        command: the arguments it was made with, for the card.
        taught: the encoder after the second step; None: it had none.
    """
    folder.mkdir(parents=True, exist_ok=True)
    encoder: PreTrainedModel = taught.encoder if taught else training.model.encoder
    weights = {name: tensor.detach().cpu().half().contiguous() for name, tensor in encoder.state_dict().items()}
    save_file(weights, str(folder / "model.safetensors"), metadata={"format": "pt"})
    config = type(encoder.config).from_dict(encoder.config.to_dict())
    config.architectures, config.dtype = [type(encoder).__name__], torch.float32
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = DROPOUT
    config.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copyfile(corpus.tokenizer / name, folder / name)
    (folder / "README.md").write_text(card(training, corpus.counts, command, taught), encoding="utf-8")


def card(training: Pretraining, counts: dict[str, int], command: str, taught: Taught | None) -> str:
    """The model card, with the figures of the training's last stretch and of the second step."""
    settings, last = training.settings, training.curve[-1]
    parameters = sum(parameter.numel() for parameter in training.model.encoder.parameters())
    seen = last.held_out
    where = "a GPU" if training.device.type == "cuda" else f"{torch.get_num_threads()} processor thread(s)"
    return f"""\
# A small Korean encoder

{settings.layers} layers × {settings.hidden}, {settings.heads} heads, {settings.vocabulary:,} lower-cased WordPieces, \
{parameters / 1e6:.1f} M parameters, up to {training.model.encoder.config.max_position_embeddings} tokens; `BertModel` \
without a head. Stored in float16, loaded as float32. Made so that the sample study runs with no network.

## Data

{counts["read"]:,} distinct Naver film reviews with ratings from 1 to 10 (github e9t/nsmc, raw; CC0 1.0). \
{counts["left_out"]:,} of them were left out of everything (vocabulary, word vectors, masked words, ratings): their \
letters and digits are those of one of the {counts["forbidden"]:,} texts in NSMC's train and test files. \
{counts["kept"]:,} were kept, {HELD_OUT:.0%} of them held out.
{_dialogues(taught)}

## Recipe

`experiments/bundled_encoder` of the project, with the arguments

```
{command}
```

{"Embeddings started from factors of co-occurrences. " if settings.factors else ""}Then masked words \
({settings.masked:.0%} of the tokens), the rating through the pooled first token (weight {settings.label:g}) and the \
sentence's words through the same (weight {settings.words:g}), together: {last.step:,} steps of {settings.batch_size} \
reviews, {last.tokens / 1e6:.1f} M tokens, {last.seconds / 60:.0f} minutes of {where} in {training.precision}, \
AdamW at {settings.lr:g}, seed {settings.seed}.
{_second_step(taught)}

## Measured on the held-out reviews

| masked words: loss | right | rating: loss | right (of 10) | words: loss |
|---|---|---|---|---|
| {seen["masked_loss"]:.3f} | {seen["masked_right"]:.3f} | {seen["label_loss"]:.3f} | {seen["label_right"]:.3f} | \
{seen["words_loss"]:.3f} |

The tokens are masked there too. What it is worth as a classifier: `experiments/bundled_encoder/README.md`.

## Licence

CC0 1.0.
"""


def _dialogues(taught: Taught | None) -> str:
    if taught is None:
        return ""
    counts = taught.counts
    return f"""
{counts["dialogues"]:,} Korean dialogues with 58 emotions (`dialogues.tsv` of the recipe, written for it, CC0 1.0): \
{counts["sentences"]:,} sentences, after {counts["left_out"]:,} that resemble a sentence of \
`emotion58_sample` or repeat another were left out. **They bear the labels of that sample**, so what a fine-tuning \
there gains over one without such a start is theirs."""


def _second_step(taught: Taught | None) -> str:
    if taught is None:
        return ""
    settings, last = taught.settings, taught.last
    return f"""
Then, from that encoder on, the same with the dialogues and their emotions (60 pairs) in the place of the ratings: \
{last.step:,} steps of {settings.batch_size} sentences ({settings.stretches} epochs), {settings.masked:.0%} of the \
tokens masked, {last.seconds / 60:.0f} minutes, AdamW at {settings.lr:g}."""
