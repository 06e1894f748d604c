#!/usr/bin/env bash
# One machine with eight GPUs, without Ray or a scheduler: one command finds them all.
#   experiments/cluster/eight_gpus.sh experiment=nsmc

# stop at the first mistake, an unset variable among them
set -euo pipefail

settings=(
  study=lr,batch            # the rate first, then the batch size at the rate that won
  train.device=cuda         # refuse to start where torch sees no GPU, instead of training on processors
  launcher.workers=auto     # a worker a GPU, and no more than there are trials; CUDA_VISIBLE_DEVICES=0,1 leaves two
  launcher.trials_per_gpu=1 # 2 for a small encoder, which does not fill a GPU by itself
  launcher.threads=4        # processors that feed each GPU
  "$@"                      # what the script was given
)

exec "${PYTHON:-python}" -m sweeper "${settings[@]}"
