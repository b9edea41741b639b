"""The student against transformers' own modules: same names, same numbers, for every head and switch."""

from __future__ import annotations

import pytest
import torch
import transformers
from small_models import SWITCHES, randomize, small_config

from mbert_onnx.model import student
from mbert_onnx.model.presets import mobilebert_config

HEADS = [
    "MobileBertModel",
    "MobileBertForPreTraining",
    "MobileBertForMaskedLM",
    "MobileBertForNextSentencePrediction",
    "MobileBertForSequenceClassification",
    "MobileBertForQuestionAnswering",
    "MobileBertForMultipleChoice",
    "MobileBertForTokenClassification",
]
RELATIVE = 1e-9


def pair(head: str, config: transformers.MobileBertConfig) -> tuple[torch.nn.Module, torch.nn.Module]:
    """(transformers' module, ours), float64, with the same random weights, which go over by name."""
    theirs = randomize(getattr(transformers, head)(config)).double().eval()
    ours = getattr(student, head)(config).double().eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    return theirs, ours


def inputs(config: transformers.MobileBertConfig, head: str) -> dict[str, torch.Tensor]:
    """Batch 3, 11 tokens, ragged padding, two segments; with an axis of choices where the head has one."""
    generator = torch.Generator().manual_seed(5)
    shape = (3, 2, 11) if head == "MobileBertForMultipleChoice" else (3, 11)
    ids = torch.randint(0, config.vocab_size, shape, generator=generator)
    types = torch.randint(0, config.type_vocab_size, shape, generator=generator)
    mask = torch.ones(shape, dtype=torch.long)
    mask[1, ..., 7:] = 0
    mask[2, ..., 1:] = 0
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}


def assert_same(theirs: object, ours: object) -> None:
    assert list(theirs.keys()) == list(ours.keys())  # type: ignore[attr-defined]
    for name in theirs.keys():  # type: ignore[attr-defined]  # noqa: SIM118
        expected, found = theirs[name], ours[name]  # type: ignore[index]
        expected, found = (x if isinstance(x, tuple) else (x,) for x in (expected, found))
        assert len(expected) == len(found), name
        for a, b in zip(expected, found, strict=True):
            assert a.shape == b.shape, name
            assert (a - b).norm() <= RELATIVE * a.norm(), f"{name}: {(a - b).norm() / a.norm():.1e}"


@pytest.mark.parametrize("switch", SWITCHES)
@pytest.mark.parametrize("head", HEADS)
def test_every_head_and_switch_agrees_with_transformers(head: str, switch: str) -> None:
    config = small_config(switch)
    theirs, ours = pair(head, config)
    feed = inputs(config, head)
    with torch.no_grad():
        assert_same(theirs(**feed), ours(**feed))


@pytest.mark.parametrize("head", HEADS)
def test_state_dicts_have_the_same_names_and_shapes(head: str) -> None:
    config = small_config("default")
    theirs, ours = getattr(transformers, head)(config).state_dict(), getattr(student, head)(config).state_dict()
    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}


def test_hidden_states_and_attentions_on_request() -> None:
    config = small_config("default")
    theirs, ours = pair("MobileBertForQuestionAnswering", config)
    feed = inputs(config, "MobileBertForQuestionAnswering")
    with torch.no_grad():
        expected = theirs(**feed, output_hidden_states=True, output_attentions=True)
        found = ours(**feed, output_hidden_states=True, output_attentions=True)
    assert len(found.hidden_states) == config.num_hidden_layers + 1
    assert_same(expected, found)


def test_mask_and_segments_are_optional() -> None:
    config = small_config("default")
    theirs, ours = pair("MobileBertModel", config)
    ids = inputs(config, "MobileBertModel")["input_ids"]
    with torch.no_grad():
        assert_same(theirs(ids), ours(ids))


@pytest.mark.skipif(transformers.__version__.startswith("5"), reason="transformers 5 takes no mask for each query row")
def test_a_mask_for_each_query_row() -> None:
    config = small_config("default")
    theirs, ours = pair("MobileBertModel", config)
    ids = inputs(config, "MobileBertModel")["input_ids"]
    mask = torch.ones(3, 11, 11, dtype=torch.long).tril()
    with torch.no_grad():
        assert_same(theirs(ids, attention_mask=mask), ours(ids, attention_mask=mask))


@pytest.mark.skipif(transformers.__version__.startswith("5"), reason="transformers 5 no longer prunes heads")
def test_pruned_heads() -> None:
    config = small_config("default", pruned_heads={0: [1], 1: [0, 3]})
    theirs, ours = pair("MobileBertModel", config)
    assert ours.get_parameter("encoder.layer.1.attention.self.query.weight").shape[0] == 16
    feed = inputs(config, "MobileBertModel")
    with torch.no_grad():
        assert_same(theirs(**feed), ours(**feed))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_padding_has_weight_zero_at_every_precision(dtype: torch.dtype) -> None:
    config = small_config("default")
    ours = randomize(student.MobileBertModel(config)).to(dtype).eval()
    feed = inputs(config, "MobileBertModel")
    feed["attention_mask"][0] = 0  # a row without a real token
    with torch.no_grad():
        output = ours(**feed, output_attentions=True)
    for attention in output.attentions:
        assert (attention[1, :, :, 7:] == 0).all()
        assert (attention[2, :, :, 1:] == 0).all()
        assert attention[0].isfinite().all()
    assert output.last_hidden_state.isfinite().all()


def test_padding_bias_survives_large_scores() -> None:
    # A quarter of float16's range is what the docstring promises: scores of ±16,000.
    mask = student.padding_bias(torch.tensor([[1, 0]]), torch.float16)[0, 0]
    weights = (torch.tensor([[-16000.0, 16000.0]], dtype=torch.float16) + mask).softmax(-1)
    assert weights.tolist() == [[1.0, 0.0]]


def parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(("preset", "table_1"), [("mobilebert", 25.3e6), ("tiny", 15.1e6)])
def test_parameter_counts_of_the_paper(preset: str, table_1: float) -> None:
    """Counted: embeddings and encoder, without the pooler and without a head."""
    with torch.device("meta"):
        model = student.MobileBertModel(mobilebert_config(preset), add_pooling_layer=False)
    assert abs(parameters(model) / table_1 - 1) < 0.03
