"""A tiny encoder and a tiny corpus, made in process, for every test that needs a whole trial."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.command_line import command, overrides

WORDS = ["정말", "좋은", "나쁜", "영화", "이다", "아주", "슬픈", "기쁜", "날", "##다", "보고", "싶다"]


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory) -> Path:
    """A BERT of 2 layers × 16 with random weights and its tokenizer, as a folder."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("tiny")
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    BertTokenizerFast(vocab=str(folder / "vocab.txt"), do_lower_case=False, model_max_length=32).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=32,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_table(tmp_path_factory) -> Path:
    """120 short sentences under three labels, learnable from one word, as csv."""
    kinds = {"기쁨": "기쁜", "슬픔": "슬픈", "보통": "영화"}
    rows = ["text,label"]
    for i in range(120):
        label = list(kinds)[i % 3]
        words = [WORDS[(i * 7 + j * j) % 6] for j in range(2 + i % 4)]
        rows.append(f"{' '.join([*words, kinds[label], str(i)])},{label}")
    path = tmp_path_factory.mktemp("table") / "rows.csv"
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def swept(tmp_path_factory, tiny_encoder, tiny_table):
    """The folder of a finished sweep of two trials, and its process; not to be changed."""
    folder = tmp_path_factory.mktemp("swept")
    done = command("sweeper", *overrides(tiny_encoder, tiny_table), cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder, done


@pytest.fixture
def refusing_proxy(monkeypatch, tmp_path):
    """The hub behind a proxy that answers 403, with nothing in the hub's cache: what a company's network does."""
    import datasets
    import huggingface_hub.constants as hub
    from huggingface_hub.utils import close_session

    class Refusing(BaseHTTPRequestHandler):
        def do_CONNECT(self):
            self.send_error(403)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    Thread(target=server.serve_forever, daemon=True).start()
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{server.server_port}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    close_session()  # the next one reads the proxies
    yield
    close_session()
    server.shutdown()
    server.server_close()
