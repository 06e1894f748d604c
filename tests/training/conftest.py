"""Tiny classifiers of every family with random weights, and tiny tables, made in process."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings
from transformers import (
    AlbertConfig,
    AutoModelForSequenceClassification,
    BertConfig,
    DistilBertConfig,
    ElectraConfig,
    PreTrainedConfig,
    PreTrainedModel,
    RobertaConfig,
    XLMRobertaConfig,
)

from sweeper.data.tokens import Split, TokenTable

# a loaded machine must not fail a property that holds
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

VOCABULARY, LONGEST, CLASSES = 30, 12, 3
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "max_position_embeddings": LONGEST + 4,
}
CONFIGS: dict[str, Callable[[], PreTrainedConfig]] = {
    "bert": lambda: BertConfig(**SIZES),
    "electra": lambda: ElectraConfig(**SIZES, embedding_size=8),
    "roberta": lambda: RobertaConfig(**SIZES, pad_token_id=1),
    "xlm-roberta": lambda: XLMRobertaConfig(**SIZES, pad_token_id=1),
    "distilbert": lambda: DistilBertConfig(
        vocab_size=VOCABULARY, dim=16, n_layers=2, n_heads=2, hidden_dim=24, max_position_embeddings=LONGEST + 4
    ),
    "albert": lambda: AlbertConfig(**SIZES, embedding_size=8),
}


@pytest.fixture(scope="session")
def make_classifier() -> Callable[..., PreTrainedModel]:
    """`make_classifier(family, outputs, dropout)`: weights far enough from zero that every part matters."""

    def make(family: str = "bert", outputs: int = CLASSES, dropout: bool = True) -> PreTrainedModel:
        with torch.random.fork_rng():
            torch.manual_seed(7)
            config = CONFIGS[family]()
            config.num_labels = outputs
            model = AutoModelForSequenceClassification.from_config(config)
            for parameter in model.parameters():
                torch.nn.init.normal_(parameter, std=0.3)
        if not dropout:
            for module in model.modules():
                if isinstance(module, torch.nn.Dropout):
                    module.p = 0.0
        return model

    return make


@pytest.fixture(scope="session")
def make_table() -> Callable[..., TokenTable]:
    """`make_table(lengths, pad_id, seed)`: rows of random real tokens."""

    def make(lengths: Sequence[int], pad_id: int = 0, seed: int = 0) -> TokenTable:
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        ids = np.random.default_rng(seed).integers(2, VOCABULARY, offsets[-1]).astype(np.int32)
        return TokenTable(ids=ids, offsets=offsets, pad_id=pad_id)

    return make


@pytest.fixture(scope="session")
def learnable(make_table: Callable[..., TokenTable]) -> tuple[TokenTable, Split, Split]:
    """60 training and 20 validation rows that say their class in every token."""
    lengths = np.random.default_rng(1).integers(1, LONGEST + 1, 80)
    table = make_table(lengths)
    labels = np.random.default_rng(2).integers(0, CLASSES, 80)
    table.ids[:] = np.repeat(2 + labels, lengths)
    rows = np.arange(80)
    return table, Split(rows[:60], labels[:60]), Split(rows[60:], labels[60:])
