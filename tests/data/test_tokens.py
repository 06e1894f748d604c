import json
import shutil

import numpy as np
import pytest

from sweeper.assets import encoder
from sweeper.data import tokens
from sweeper.data.tokens import (
    TokenTable,
    load_tokenizer,
    positions,
    tokenise,
    tokenizer_fingerprint,
    write_tokens,
)
from sweeper.errors import UserError

TEXTS = ["정말 좋은 영화 이다", "아주", "아주 " * 50, "모르는말"]


@pytest.fixture(scope="module")
def tokenizer(tiny_encoder):
    return load_tokenizer(str(tiny_encoder))


def test_flat_ids_are_those_of_each_text_alone(tokenizer):
    ids, offsets = tokenise(TEXTS, tokenizer, 16)
    assert (ids.dtype, offsets.dtype) == (np.int32, np.int64)
    for row, text in enumerate(TEXTS):
        alone = tokenizer(text, truncation=True, max_length=16)["input_ids"]
        assert ids[offsets[row] : offsets[row + 1]].tolist() == alone


def test_truncation_keeps_special_tokens(tokenizer):
    ids, offsets = tokenise(TEXTS[2:3], tokenizer, 8)
    assert offsets.tolist() == [0, 8]
    assert [ids[0], ids[-1]] == [tokenizer.cls_token_id, tokenizer.sep_token_id]


def test_no_texts_give_no_tokens(tokenizer):
    ids, offsets = tokenise([], tokenizer, 16)
    assert (len(ids), offsets.tolist()) == (0, [0])


def test_a_written_table_is_mapped_and_knows_full_lengths(tmp_path, tiny_encoder, tokenizer, monkeypatch):
    monkeypatch.setattr(tokens, "BATCH", 3)
    done = []
    write_tokens(tmp_path, [TEXTS, TEXTS[:1]], str(tiny_encoder), 16, done.append)
    table = TokenTable.open(tmp_path)
    ids, offsets = tokenise([*TEXTS, TEXTS[0]], tokenizer, 16)
    np.testing.assert_array_equal(table.ids, ids)
    np.testing.assert_array_equal(table.offsets, offsets)
    assert isinstance(table.ids, np.memmap)
    assert isinstance(table.offsets, np.memmap)
    assert table.pad_id == tokenizer.pad_token_id
    assert table.lengths.tolist() == [6, 3, 16, 3, 6]
    assert np.load(tmp_path / "full_lengths.npy").tolist() == [6, 3, 52, 3, 6]
    assert done == [4, 5]


def test_full_lengths_are_those_without_a_limit_with_and_without_rust_encodings(tokenizer):
    texts = [*TEXTS, "아주 " * 6, "아주 " * 7, "좋은 영화 " * 40]
    expected = [len(ids) for ids in tokenizer(texts)["input_ids"]]
    encoded = tokenizer(texts, truncation=True, max_length=8)
    lengths = np.array([len(ids) for ids in encoded["input_ids"]])
    for encodings in (encoded.encodings, None):
        assert tokens._full_lengths(texts, lengths, encodings, tokenizer, 8).tolist() == expected


def test_max_length_must_leave_room_for_a_text(tmp_path, tiny_encoder):
    with pytest.raises(UserError, match=r"data\.max_length: got 2; the tokenizer adds 2"):
        write_tokens(tmp_path, [TEXTS], str(tiny_encoder), 2, print)


def test_texts_are_cut_at_what_the_encoder_takes_where_that_is_less(tmp_path, tiny_encoder):
    write_tokens(tmp_path, [["좋은 영화 " * 40]], str(tiny_encoder), 64, print)
    assert TokenTable.open(tmp_path).lengths.tolist() == [32]
    assert json.loads((tmp_path / "meta.json").read_text())["max_length"] == 32


def test_positions_are_the_limit_where_the_tokenizer_states_none(tmp_path, tiny_encoder):
    encoder_folder = shutil.copytree(tiny_encoder, tmp_path / "encoder")
    settings = json.loads((encoder_folder / "tokenizer_config.json").read_text())
    settings.pop("model_max_length")
    (encoder_folder / "tokenizer_config.json").write_text(json.dumps(settings))
    assert load_tokenizer(str(encoder_folder)).model_max_length > 64
    write_tokens(tmp_path, [["좋은 영화 " * 40]], str(encoder_folder), 64, print)
    assert TokenTable.open(tmp_path).lengths.tolist() == [32]


@pytest.mark.parametrize(
    ("config", "room"),
    [
        ({"model_type": "bert", "max_position_embeddings": 512, "pad_token_id": 0}, 512),
        ({"model_type": "roberta", "max_position_embeddings": 514, "pad_token_id": 1}, 512),
        ({"model_type": "xlm-roberta", "max_position_embeddings": 514}, 512),
        ({"model_type": "camembert", "max_position_embeddings": 514, "pad_token_id": 0}, 513),
        ({"model_type": "deberta-v2", "max_position_embeddings": 512, "position_biased_input": False}, tokens.ENDLESS),
        ({"model_type": "xlnet"}, tokens.ENDLESS),
        ({"model_type": "t5", "max_position_embeddings": -1}, tokens.ENDLESS),
    ],
)
def test_positions_of_an_encoder(config, room):
    assert positions(config) == room


def test_encoders_that_cut_elsewhere_share_no_table(tmp_path):
    assert tokenizer_fingerprint("ko-mini", 128) == tokenizer_fingerprint("ko-mini")
    assert tokenizer_fingerprint("ko-mini", 129) != tokenizer_fingerprint("ko-mini")


def test_the_bundled_encoder_has_a_tokenizer():
    assert load_tokenizer("ko-mini").decode(load_tokenizer("ko-mini")("영화")["input_ids"]) == "[CLS] 영화 [SEP]"


def test_fingerprint_follows_the_tokenizer_not_the_weights(tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(encoder("ko-mini"), copy)
    assert tokenizer_fingerprint(str(copy)) == tokenizer_fingerprint("ko-mini")
    (copy / "model.safetensors").write_bytes(b"")
    assert tokenizer_fingerprint(str(copy)) == tokenizer_fingerprint("ko-mini")
    settings = json.loads((copy / "tokenizer_config.json").read_text())
    (copy / "tokenizer_config.json").write_text(json.dumps(settings | {"do_lower_case": False}))
    assert tokenizer_fingerprint(str(copy)) != tokenizer_fingerprint("ko-mini")


def test_fingerprint_needs_no_transformers():
    import subprocess
    import sys

    code = (
        "import sys; from sweeper.data.tokens import tokenizer_fingerprint; tokenizer_fingerprint('ko-mini');"
        "sys.exit('transformers' in sys.modules or 'torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("model", ["/no/such/folder", "./encoder", "a/b/c"])
def test_an_unknown_folder_is_named(model):
    with pytest.raises(UserError, match=rf"model={model}: there is no such folder .*config\.json.*ko-mini"):
        load_tokenizer(model)


@pytest.mark.parametrize("extra", [{}, {"config.json": '{"model_type": "bert"}'}, {"tokenizer.json": "{}"}])
def test_a_folder_without_a_tokenizer_is_named(tmp_path, extra):
    for name, text in extra.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=r"no tokenizer"):
        load_tokenizer(str(tmp_path))


def test_an_unreachable_hub_names_a_local_folder_as_the_way_out(monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    def fail(model, **_):
        raise LocalEntryNotFoundError("no connection")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    for ask in (load_tokenizer, tokenizer_fingerprint):
        with pytest.raises(UserError, match=r"model=klue/bert-base: .*hub.*no connection.*set model=FOLDER"):
            ask("klue/bert-base")


def test_a_proxy_that_refuses_is_told_like_an_unreachable_hub(refusing_proxy):
    with pytest.raises(UserError, match=r"model=klue/bert-base: .*hub could not give it .*set model=FOLDER"):
        tokenizer_fingerprint("klue/bert-base")


def test_a_hub_model_is_taken_from_the_local_hub_cache_first(monkeypatch):
    import huggingface_hub

    asked = []

    def snapshot(model, **how):
        asked.append(how.get("local_files_only", False))
        return encoder("ko-mini")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert tokenizer_fingerprint("owner/name") == tokenizer_fingerprint("ko-mini")
    assert asked == [True]
