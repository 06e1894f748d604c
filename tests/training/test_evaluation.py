import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sweeper.data.tokens import Split
from sweeper.training import evaluation
from sweeper.training.evaluation import evaluate

CPU = torch.device("cpu")
LENGTHS = [5, 1, 12, 3, 3, 8, 12, 2]


def one_by_one(model, table, rows) -> torch.Tensor:
    model.eval()
    texts = [torch.from_numpy(table.ids[table.offsets[r] : table.offsets[r + 1]].astype(np.int64)) for r in rows]
    with torch.no_grad():
        return torch.cat([model(input_ids=text[None]).logits for text in texts])


@pytest.mark.parametrize("batching", ["packed", "longest", "max_length"])
@pytest.mark.parametrize("tokens", [10, 10_000])
def test_rows_come_back_in_the_order_of_the_split(make_classifier, make_table, monkeypatch, batching, tokens):
    monkeypatch.setitem(evaluation.TOKENS_PER_BATCH, "cpu", tokens)
    model, table = make_classifier("bert").train(), make_table(LENGTHS)
    split = Split(np.array([6, 0, 3, 1, 7, 2]), np.array([0, 1, 2, 0, 1, 2]))

    result = evaluate(model, table, split, loss="auto", precision="float32", batching=batching, device=CPU)

    logits = one_by_one(model, table, split.rows)
    np.testing.assert_allclose(result.probabilities, logits.softmax(-1), atol=1e-5)
    assert result.loss == pytest.approx(F.cross_entropy(logits, torch.from_numpy(split.labels)).item(), abs=1e-5)
    assert result.predictions.tolist() == logits.argmax(-1).tolist()
    assert (result.predictions.dtype, result.probabilities.dtype) == (np.int64, np.float32)


def test_one_logit_gives_two_columns_and_its_sign_is_the_class(make_classifier, make_table):
    model, table = make_classifier("electra", outputs=1), make_table(LENGTHS)
    split = Split(np.arange(8), np.arange(8) % 2)

    result = evaluate(model, table, split, loss="auto", precision="float32", batching="packed", device=CPU)

    logits = one_by_one(model, table, split.rows)[:, 0]
    targets = torch.from_numpy(split.labels).float()
    assert result.loss == pytest.approx(F.binary_cross_entropy_with_logits(logits, targets).item(), abs=1e-5)
    np.testing.assert_allclose(result.probabilities[:, 1], torch.sigmoid(logits), atol=1e-5)
    np.testing.assert_allclose(result.probabilities.sum(1), 1.0, atol=1e-6)
    assert result.predictions.tolist() == (logits > 0).long().tolist()


def test_regression_gives_values(make_classifier, make_table):
    model, table = make_classifier("bert", outputs=1), make_table(LENGTHS)
    split = Split(np.arange(8), np.linspace(0, 1, 8, dtype=np.float32))

    result = evaluate(model, table, split, loss="auto", precision="float32", batching="packed", device=CPU)

    values = one_by_one(model, table, split.rows)[:, 0]
    assert result.loss == pytest.approx(F.mse_loss(values, torch.from_numpy(split.labels)).item(), abs=1e-5)
    assert result.probabilities.shape == (8, 1)
    np.testing.assert_allclose(result.predictions, values, atol=1e-5)


def test_half_precision_is_close(make_classifier, make_table):
    model, table = make_classifier("roberta"), make_table(LENGTHS, pad_id=1)
    split = Split(np.arange(8), np.arange(8) % 3)
    full, half = (
        evaluate(model, table, split, loss="auto", precision=precision, batching="packed", device=CPU)
        for precision in ("float32", "bf16")
    )

    np.testing.assert_allclose(half.probabilities, full.probabilities, atol=0.05)
    assert half.probabilities.dtype == np.float32


def test_no_gradient_is_left_and_the_model_trains_afterwards(make_classifier, make_table):
    model, table = make_classifier("bert"), make_table(LENGTHS)
    split = Split(np.arange(8), np.arange(8) % 3)

    evaluate(model, table, split, loss="auto", precision="float32", batching="packed", device=CPU)
    model.train()
    model(input_ids=torch.ones(1, 3, dtype=torch.long)).logits.sum().backward()

    assert model.classifier.weight.grad is not None


@pytest.fixture
def little_memory(monkeypatch):
    """A device on which more than 8 tokens at a time do not fit; gives the sizes of the batches that did."""
    fitted = []
    real = evaluation.Forward.__call__

    def forward(self, batch):
        if batch.input_ids.numel() > 8 and len(batch.picked) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
        fitted.append(len(batch.picked))
        return real(self, batch)

    monkeypatch.setattr(evaluation.Forward, "__call__", forward)
    return fitted


@pytest.mark.parametrize("batching", ["packed", "longest", "max_length"])
def test_batches_that_do_not_fit_into_memory_are_halved(make_classifier, make_table, little_memory, batching):
    model, table = make_classifier("bert"), make_table(LENGTHS)
    split = Split(np.array([6, 0, 3, 1, 7, 2]), np.array([0, 1, 2, 0, 1, 2]))

    result = evaluate(model, table, split, loss="auto", precision="float32", batching=batching, device=CPU)

    logits = one_by_one(model, table, split.rows)
    np.testing.assert_allclose(result.probabilities, logits.softmax(-1), atol=1e-5)
    assert result.loss == pytest.approx(F.cross_entropy(logits, torch.from_numpy(split.labels)).item(), abs=1e-5)
    assert sum(little_memory) == 6
    assert len(little_memory) > 1


def test_a_single_row_that_does_not_fit_ends_it(make_classifier, make_table, monkeypatch):
    def full(self, batch):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(evaluation.Forward, "__call__", full)
    split = Split(np.arange(8), np.arange(8) % 3)
    with pytest.raises(torch.OutOfMemoryError):
        evaluate(
            make_classifier(), make_table(LENGTHS), split, loss="auto", precision="float32", batching="packed",
            device=CPU,
        )  # fmt: skip


def test_another_error_is_not_tried_again(make_classifier, make_table, monkeypatch):
    tried = []

    def wrong(self, batch):
        tried.append(len(batch.picked))
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(evaluation.Forward, "__call__", wrong)
    split = Split(np.arange(8), np.arange(8) % 3)
    with pytest.raises(RuntimeError, match="mat1"):
        evaluate(
            make_classifier(), make_table(LENGTHS), split, loss="auto", precision="float32", batching="packed",
            device=CPU,
        )  # fmt: skip
    assert tried == [8]


def test_what_did_not_fit_is_given_back_before_it_is_tried_again(
    make_classifier, make_table, little_memory, monkeypatch
):
    released = []
    monkeypatch.setattr(evaluation, "release_memory", released.append)
    split = Split(np.arange(8), np.arange(8) % 3)
    evaluate(
        make_classifier(), make_table(LENGTHS), split, loss="auto", precision="float32", batching="packed", device=CPU
    )
    assert released
    assert set(released) == {CPU}
