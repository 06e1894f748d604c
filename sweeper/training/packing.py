"""Run a stock encoder on one flat row of tokens instead of a padded batch.

The sentences of a batch stand one after the other in a single row (1, T) with positions that start again
at every sentence, so embeddings, linear layers, normalisation and activation see real tokens only. Three
seams of the stock modules make that possible, and no model code is copied:

* transformers' attention interface hands queries, keys and values to `attend`, with the boundaries;
* a hook after the encoder hands its first tokens (B, 1, H) to the stock pooler and head, which take `[:, 0]`;
* hooks in the last layer drop, once keys and values are known, every row but the first tokens: no other
  row of the last layer reaches the head. (ALBERT shares its layers, so its last one is not told apart.)

Limits: families in `FAMILIES`, encoders with absolute positions. A model that is not called through
`PackedModel` behaves as ever: the hooks and the attention function then do nothing of their own.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from sweeper.training.attention import attend, put_rows, take_rows
from sweeper.training.batches import PackedBatch
from sweeper.training.boundaries import Boundaries

IMPLEMENTATION = "sweeper_packed"
FAMILIES = ("bert", "electra", "roberta", "xlm-roberta", "distilbert", "albert")


def supports(model: PreTrainedModel) -> bool:
    """Whether a classifier can run on a flat row."""
    config = model.config
    plain = not getattr(config, "is_decoder", False) and not getattr(config, "chunk_size_feed_forward", 0)
    absolute = getattr(config, "position_embedding_type", "absolute") in ("absolute", None)
    return config.model_type in FAMILIES and plain and absolute and hasattr(model, model.base_model_prefix)


class PackedModel:
    """A classifier, callable with packed batches.

    Args:
        model: a classifier that `supports` accepts; hooks are added to its modules until `remove`.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        if not supports(model):
            raise ValueError(f"{type(model).__name__} cannot run on a flat row")
        self.model = model
        self.boundaries: Boundaries | None = None
        self.length = 0
        self.last_attention: nn.Module | None = None
        self._before = model.config._attn_implementation
        self._handles: list[RemovableHandle] = []
        distilbert = model.config.model_type == "distilbert"
        encoder = model.base_model.get_submodule("transformer" if distilbert else "encoder")
        if model.config.model_type != "albert":
            self._trim(encoder.get_submodule(f"layer.{model.config.num_hidden_layers - 1}"))
        self._handles.append(encoder.register_forward_hook(self._keep_first_tokens))
        model.config._attn_implementation = IMPLEMENTATION

    def __call__(self, batch: PackedBatch) -> Tensor:
        """Logits (B, outputs), in the batch's order of sentences."""
        self.boundaries, self.length = batch.boundaries, batch.input_ids.shape[1]
        try:
            inputs = {"input_ids": batch.input_ids, "position_ids": batch.position_ids}
            logits: Tensor = self.model(**inputs, packed=self).logits
        finally:
            self.boundaries = None
        return logits

    def remove(self) -> None:
        """Take the hooks off the model and give back its attention."""
        for handle in self._handles:
            handle.remove()
        self.model.config._attn_implementation = self._before

    def _trim(self, layer: nn.Module) -> None:
        """From the last layer's queries on, work on first tokens only."""
        if self.model.config.model_type == "distilbert":
            attention = self.last_attention = layer.get_submodule("attention")
            narrowed = [attention.get_submodule("q_lin"), attention.get_submodule("out_lin")]
            after = layer.get_submodule("sa_layer_norm")
        else:
            self.last_attention = layer.get_submodule("attention.self")
            narrowed = [self.last_attention.get_submodule("query")]
            after = layer.get_submodule("attention.output")
        for module in narrowed:
            self._handles.append(module.register_forward_pre_hook(self._narrow))
            self._handles.append(module.register_forward_hook(self._widen))
        self._handles.append(after.register_forward_pre_hook(self._narrow))

    def _narrow(self, module: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        """Every argument (1, T, H) to its first tokens (1, B, H)."""
        if self.boundaries is None:
            return None
        starts = self.boundaries.starts
        return tuple(take_rows(argument[0], starts)[None] for argument in arguments)

    def _widen(self, module: nn.Module, arguments: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
        """(1, B, H) back to its places among (1, T, H), where the stock code expects a row for every token."""
        if self.boundaries is None:
            return None
        return put_rows(output[0], self.boundaries.starts, self.length)[None]

    def _keep_first_tokens(self, module: nn.Module, arguments: Any, output: Any) -> Any:
        if self.boundaries is None:
            return None
        rows: Tensor = output.last_hidden_state[0]
        if self.last_attention is None:
            rows = take_rows(rows, self.boundaries.starts)
        output.last_hidden_state = rows[:, None]
        return output


class PackedEncoder:
    """An encoder without a head, callable for the last states of any tokens: what pre-training needs.

    Args:
        encoder: a `BertModel` or one built like it; a hook is added to its last layer until `remove`.
    """

    last_attention: nn.Module | None = None  # every token asks, in the last layer too

    def __init__(self, encoder: PreTrainedModel) -> None:
        self.encoder = encoder
        self.boundaries: Boundaries | None = None
        self.wanted: Tensor | None = None
        self._before = encoder.config._attn_implementation
        after = encoder.get_submodule(f"encoder.layer.{encoder.config.num_hidden_layers - 1}.attention.output")
        self._handle = after.register_forward_pre_hook(self._narrow)
        encoder.config._attn_implementation = IMPLEMENTATION

    def __call__(self, batch: PackedBatch, input_ids: Tensor, wanted: Tensor) -> Tensor:
        """Last states (n, H) of the tokens at `wanted` (n,), distinct places in the flat row.

        Args:
            input_ids: (1, T) what is read in place of the batch's own tokens.
        """
        self.boundaries, self.wanted = batch.boundaries, wanted
        try:
            states: Tensor = self.encoder(
                input_ids=input_ids, position_ids=batch.position_ids, packed=self
            ).last_hidden_state
        finally:
            self.boundaries = self.wanted = None
        return states[0]

    def remove(self) -> None:
        """Take the hook off the encoder and give back its attention."""
        self._handle.remove()
        self.encoder.config._attn_implementation = self._before

    def _narrow(self, module: nn.Module, arguments: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        """Every argument (1, T, H) to the wanted tokens (1, n, H): nothing after the last attention mixes tokens."""
        if self.wanted is None:
            return None
        wanted = self.wanted
        return tuple(take_rows(argument[0], wanted)[None] for argument in arguments)


def _packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    packed: PackedModel | PackedEncoder | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """transformers' attention signature: (1, heads, T, size) in, (1, T, heads, size) out."""
    if packed is None or packed.boundaries is None:
        padded: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return padded
    q, k, v = (heads.transpose(1, 2)[0] for heads in (query, key, value))
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    first_only = module is packed.last_attention
    return attend(q, k, v, packed.boundaries, scale, dropout, first_only)[None], None


def _packed_mask(*args: Any, attention_mask: Tensor | None = None, **kwargs: Any) -> Tensor | None:
    """No mask for a flat row; the stock one where the model is used with padding."""
    if attention_mask is None:
        return None
    make: Callable[..., Tensor | None] = sdpa_mask
    return make(*args, attention_mask=attention_mask, **kwargs)


AttentionInterface.register(IMPLEMENTATION, _packed_attention)
AttentionMaskInterface.register(IMPLEMENTATION, _packed_mask)
