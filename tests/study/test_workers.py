import pytest
from transformers import BertConfig, DistilBertConfig

from sweeper import assets
from sweeper.study.workers import LARGE, ProcessPool, encoder_parameters, plan_workers


def plan(workers="auto", threads="auto", parameters=1_000_000, cores=8, gpus=0, trials_per_gpu=1, trials=32):
    return plan_workers(
        workers,
        threads,
        parameters=parameters,
        cores=cores,
        gpus=gpus,
        trials_per_gpu=trials_per_gpu,
        trials=trials,
    )


def test_small_encoders_run_one_trial_a_core():
    assert (plan().workers, plan().threads) == (8, 1)


def test_large_encoders_run_one_trial_on_all_cores():
    large = plan(parameters=LARGE)
    assert (large.workers, large.threads) == (1, 8)


def test_cores_are_shared_out_among_a_given_number_of_workers():
    assert (plan(workers=3).workers, plan(workers=3).threads) == (3, 2)
    assert plan(workers=3, threads=1).threads == 1


def test_gpus_are_shared_out_one_trial_each_or_several():
    assert plan(gpus=2).devices == ("0", "1")
    assert plan(gpus=2, trials_per_gpu=2).devices == ("0", "1", "0", "1")
    assert plan(workers=1, gpus=4).devices == ("0",)


def test_no_more_workers_are_started_than_there_are_trials_and_they_share_the_cores():
    assert (plan(trials=1).workers, plan(trials=1).threads) == (1, 8)
    assert (plan(cores=64, trials=4).workers, plan(cores=64, trials=4).threads) == (4, 16)
    assert plan(gpus=4, trials_per_gpu=2, trials=3).devices == ("0", "1", "2")
    assert plan(workers=8, trials=4).workers == 8  # as asked for


@pytest.mark.parametrize("trials", [8, 4])
def test_the_studies_of_the_readme_on_two_cores_train_two_at_a_time_on_one_thread_each(trials):
    assert (plan(cores=2, trials=trials).workers, plan(cores=2, trials=trials).threads) == (2, 1)


def test_parameters_are_those_of_the_layers(tmp_path):
    BertConfig(hidden_size=10, num_hidden_layers=2, intermediate_size=40, num_attention_heads=2).save_pretrained(
        tmp_path
    )
    assert encoder_parameters(str(tmp_path)) == 2 * (400 + 800)
    assert encoder_parameters(assets.encoder("ko-mini")) < LARGE


def test_parameters_are_found_under_distilberts_names_too(tmp_path):
    DistilBertConfig(dim=10, n_layers=2, hidden_dim=40, n_heads=2).save_pretrained(tmp_path)
    assert encoder_parameters(str(tmp_path)) == 2 * (400 + 800)


def test_an_encoder_that_does_not_say_its_size_is_large(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    assert encoder_parameters(str(tmp_path)) >= LARGE


@pytest.fixture
def pool(tmp_path):
    with ProcessPool(tmp_path) as pool:
        yield pool


def test_a_worker_says_ready_and_its_end_is_noticed(pool):
    pool.start(plan(workers=1))
    assert pool.events.get(timeout=60).kind == "ready"
    process = pool._processes[0]
    process.kill()
    event = pool.events.get(timeout=60)
    assert (event.kind, event.data["reason"]) == ("exit", "process ended with code -9")


def test_only_a_worker_that_has_started_and_lives_is_ready(pool):
    assert not pool.is_ready(0)
    pool.start(plan(workers=1))
    assert not pool.is_ready(0)
    assert pool.events.get(timeout=60).kind == "ready"
    assert pool.is_ready(0)
    before = pool._processes[0]
    pool.restart(0)
    assert before.poll() == -9  # ended, not left beside the new one
    assert not pool.is_ready(0)
    events = [pool.events.get(timeout=60) for _ in range(2)]
    assert sorted(event.kind for event in events) == ["exit", "ready"]
    assert pool.is_ready(0)
    assert {event.data.get("pid") for event in events} == {None, before.pid}


def test_a_worker_ends_when_its_parent_is_gone(pool):
    pool.start(plan(workers=1))
    pool._processes[0].stdin.close()
    assert pool._processes[0].wait(timeout=60) == 0
