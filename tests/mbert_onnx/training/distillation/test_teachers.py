"""Encoders of transformers as teachers: maps, words and vectors of every kind, and losses of a student against them."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from mbert_onnx.errors import CheckpointError
from mbert_onnx.model.presets import initialize, mobilebert_config
from mbert_onnx.model.student import MobileBertForPreTraining, MobileBertModel
from mbert_onnx.training.distillation.layer_pairs import layer_pairs, width_maps
from mbert_onnx.training.distillation.loss import ObjectiveWeights, StageLoss
from mbert_onnx.training.distillation.principal_components import (
    fit_blocks,
    initialize_embeddings,
    word_components,
)
from mbert_onnx.training.distillation.strategies import Stage, stages_of
from mbert_onnx.training.distillation.teachers.encoder import EncoderTeacher
from mbert_onnx.training.distillation.teachers.interface import Teacher
from mbert_onnx.training.distillation.teachers.mobilebert import MobileBertTeacher

SIZES: dict[str, Any] = {
    "vocab_size": 50,
    "hidden_size": 24,
    "num_hidden_layers": 4,
    "num_attention_heads": 3,
    "intermediate_size": 32,
    "max_position_embeddings": 20,
}
DISTILBERT = {"dim": 24, "n_layers": 4, "n_heads": 3, "hidden_dim": 32, "max_position_embeddings": 20, "vocab_size": 50}
MODERN = {"pad_token_id": 0, "bos_token_id": 1, "cls_token_id": 1, "eos_token_id": 2, "sep_token_id": 2}
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "bert": ("Bert", SIZES),
    "roberta": ("Roberta", SIZES),
    "distilbert": ("DistilBert", DISTILBERT),
    "electra": ("Electra", {**SIZES, "embedding_size": 12}),
    "albert": ("Albert", {**SIZES, "embedding_size": 12}),
    "mpnet": ("MPNet", SIZES),
    "deberta-v2": ("DebertaV2", {**SIZES, "relative_attention": True, "position_buckets": 8}),
    "modernbert": ("ModernBert", {**SIZES, **MODERN, "reference_compile": False}),
}
WEIGHTS = ObjectiveWeights(normalized_feature_maps=1.0, means=1.0, variances=1.0)


@cache
def model(kind: str, *, words: bool = False) -> Any:
    """Returns a small model with random weights, with a head for masked words or without."""
    name, sizes = KINDS[kind]
    config = getattr(transformers, f"{name}Config")(**sizes)
    torch.manual_seed(0)
    classes = transformers.AutoModelForMaskedLM if words else transformers.AutoModel
    found = classes.from_config(config, attn_implementation="eager").eval()
    for parameter in found.parameters():
        parameter.data.add_(0.1 * torch.randn(parameter.shape))  # larger differences between tokens than of new models
    return found


def student(**changes: Any) -> MobileBertForPreTraining:
    sizes = {**SIZES, "hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 3, "intermediate_size": 16}
    config = mobilebert_config(**{**sizes, "embedding_size": 8, "intra_bottleneck_size": 8, **changes})
    found = MobileBertForPreTraining(config)
    initialize(found, config, 1)
    return found.eval()


def batch() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(2)
    ids = torch.randint(5, 50, (3, 7), generator=generator)
    mask = torch.ones_like(ids)
    mask[1, 4:] = 0
    labels = torch.full_like(ids, -100)
    labels[:, 2] = ids[:, 2]
    return {"input_ids": ids, "attention_mask": mask, "token_type_ids": torch.zeros_like(ids), "labels": labels}


def stages(strategy: str, layers: int = 3, compared: list[int] | None = None) -> list[Stage]:
    options: dict[str, Any] = {"next_sentence": False, "trains_embeddings": True, "compared": compared}
    return stages_of(strategy, layers=layers, transfer_steps=3, distillation_steps=1, **options)


@pytest.mark.parametrize("kind", KINDS)
def test_maps_are_those_of_transformers(kind: str) -> None:
    feed, own = batch(), model(kind)
    teacher = EncoderTeacher(own, kind)
    with torch.no_grad():
        inputs = {name: feed[name] for name in ("input_ids", "attention_mask")}
        whole = own(**inputs, output_hidden_states=True, output_attentions=True)
    found = teacher.maps(feed, 4, projections=True)
    assert torch.equal(found.features[-1], whole.last_hidden_state)
    assert torch.equal(teacher.embeddings(feed), whole.hidden_states[0])
    for layer in range(3):
        assert torch.equal(found.features[layer], whole.hidden_states[layer + 1])
        assert torch.equal(found.attentions[layer], whole.attentions[layer])
        assert found.projections[layer].values.shape == (3, 7, 24)
    part = teacher.maps(feed, 2, attentions=False)
    assert all(map(torch.equal, part.features[:2], found.features))
    assert len(part.features) == (4 if kind == "albert" else 2)  # its layers are one module
    assert (teacher.shape.layers, teacher.shape.hidden_size, teacher.shape.heads) == (4, 24, 3)
    assert teacher.shape.positions == (18 if kind in ("roberta", "mpnet") else 20)


@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "electra", "albert"])
def test_queries_and_keys_give_the_attention(kind: str) -> None:
    found = EncoderTeacher(model(kind), kind).maps(feed := batch(), 4, projections=True)
    for layer in range(4):
        queries, keys = (
            x.view(3, 7, 3, 8).transpose(1, 2)
            for x in (found.projections[layer].queries, found.projections[layer].keys)
        )
        scores = queries @ keys.transpose(2, 3) / 8**0.5
        scores = scores.masked_fill(feed["attention_mask"][:, None, None] == 0, -torch.inf)
        assert torch.allclose(scores.softmax(-1), found.attentions[layer], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_words_are_predicted_as_by_the_whole_model(kind: str) -> None:
    whole = model(kind, words=True)
    known = torch.tensor([0, *range(10, 50), *range(1, 10)])  # in another order
    teacher = EncoderTeacher(whole, kind, known)
    assert teacher.predicts
    feed = batch()
    found = teacher.predictions(teacher.maps(feed, 4).features[-1].flatten(0, 1)).view(3, 7, 50)
    with torch.no_grad():
        logits = whole(input_ids=known[feed["input_ids"]], attention_mask=feed["attention_mask"]).logits
    assert torch.allclose(found, logits[..., known], atol=1e-5)
    assert not EncoderTeacher(model(kind), kind).predicts


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [16, 24])
def test_gradients_reach_exactly_what_a_stage_trains(kind: str, width: int) -> None:
    teacher = EncoderTeacher(model(kind, words=True), kind)
    pairs = layer_pairs([1, 0, 4], 3, 4)
    # Equal widths have equal heads here: attention transfer; else relations.
    heads = 3 if width == 24 else 2
    for strategy in ("progressive", "joint", "auxiliary", "shorten"):
        for stage in stages(strategy, compared=list(pairs)):
            own = student(hidden_size=width, num_attention_heads=heads, intra_bottleneck_size=24 if heads == 3 else 8)
            maps = width_maps(pairs, width, 24, vectors=False)
            module = StageLoss(own, teacher, stage, WEIGHTS, pairs=pairs, maps=maps)
            for name, parameter in module.named_parameters():
                parameter.requires_grad_(stage.rate(name) > 0)
            losses = module(batch())
            losses["loss"].backward()
            assert ("relations" in losses) == bool(stage.layers and width == 16)
            assert ("attention" in losses) == bool(stage.layers and width == 24)
            reached = {name for name, p in module.named_parameters() if p.grad is not None and bool(p.grad.any())}
            wanted = {name for name, _ in module.named_parameters() if stage.rate(name) > 0}
            # Softmax cancels the bias of keys, except in their relations.
            without = {name for name in wanted if name.endswith("key.bias") or "token_type" in name}
            assert reached - without == wanted - without
            assert all(parameter.grad is None for parameter in teacher.model.parameters())


def test_a_student_equal_to_its_teacher_has_no_loss() -> None:
    own = student()
    theirs = transformers.MobileBertModel(own.config, add_pooling_layer=True).eval()
    theirs.load_state_dict(own.mobilebert.state_dict())
    other_heads = student()
    other_heads.config.num_attention_heads = 1  # relations in place of attention; its modules are unchanged
    other_heads.load_state_dict(own.state_dict())
    teachers: list[Teacher] = [EncoderTeacher(theirs, "same"), MobileBertTeacher(own)]
    for teacher in teachers:
        for equal, objective in ((own, "attention"), (other_heads, "relations")):
            for maps in (None, nn.ModuleDict({str(n): identity(16) for n in range(3)})):
                [stage, *_] = stages("joint")
                losses = StageLoss(equal, teacher, stage, WEIGHTS, maps=maps)(batch())
                assert objective in losses
                for name, value in losses.items():
                    assert value.item() == pytest.approx(0, abs=1e-5), name


def identity(size: int) -> nn.Linear:
    found = nn.Linear(size, size)
    nn.init.eye_(found.weight)
    nn.init.zeros_(found.bias)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_student_computes_the_teachers_embeddings(kind: str) -> None:
    """With as many components as the words have, only the variation over positions behind a layer norm is lost."""
    teacher = EncoderTeacher(model(kind), kind)
    own = student(hidden_size=24, embedding_size=24, max_position_embeddings=18)
    own.mobilebert.embeddings.word_embeddings.padding_idx = 0
    components = word_components(teacher, 50)
    assert components.kept(24) == pytest.approx(1, abs=1e-4)
    initialize_embeddings(own.mobilebert, teacher, components)
    feed = batch()
    with torch.no_grad():
        found = own.mobilebert.embeddings(feed["input_ids"], feed["token_type_ids"]).view(3, 7, 24)
    real = feed["attention_mask"].bool()
    found, expected = found[real], teacher.embeddings(feed)[real]
    error = (found - expected).square().mean() / (expected - expected.mean(0)).square().mean()
    assert float(error) < 0.15
    assert not own.mobilebert.embeddings.word_embeddings.weight[0].any()


@pytest.mark.parametrize("width", [16, 24])
def test_blocks_and_linear_maps_start_from_the_best_fit(width: int) -> None:
    teacher, pairs = EncoderTeacher(model("bert"), "bert"), {0: 1, 2: 3}
    own = student(hidden_size=width)
    maps = width_maps(pairs, width, 24, vectors=False)
    components = word_components(teacher, 50)
    initialize_embeddings(own.mobilebert, teacher, components)
    [stage] = [stage for stage in stages("joint", compared=[0, 2]) if stage.layers]
    weights = ObjectiveWeights(relations=0.0, attention=0.0)

    def loss() -> float:
        with torch.no_grad():
            return float(StageLoss(own, teacher, stage, weights, pairs=pairs, maps=maps)(batch())["loss"])

    before = loss()
    fit_blocks(own.mobilebert, teacher, pairs, components.projection(width), maps, [batch()])
    assert loss() < before / 2
    assert set(maps) == (set() if width == 24 else {"0", "2"})


def test_vectors_are_pooled_as_the_teacher_pools() -> None:
    teacher = EncoderTeacher(model("bert"), "bert")
    hidden, mask = torch.tensor([[[3.0, 0.0], [0.0, 4.0], [9.0, 9.0]]]), torch.tensor([[1, 1, 0]])
    expected = {"mean": [0.6, 0.8], "cls": [1.0, 0.0], "max": [0.6, 0.8]}
    for teacher.pooling, vector in expected.items():
        assert torch.allclose(teacher.vectors(hidden, mask), torch.tensor([vector]))


def test_a_class_without_maps_of_its_layers_is_refused() -> None:
    config = transformers.FunnelConfig(vocab_size=50, d_model=24, n_head=3, d_head=8, d_inner=32)
    with pytest.raises(CheckpointError, match=r"teacher funnel \(FunnelModel\) does not return a feature map of each"):
        EncoderTeacher(transformers.FunnelModel(config), "funnel")


def test_relations_need_known_projections() -> None:
    config = transformers.DebertaConfig(**SIZES)
    teacher = EncoderTeacher(transformers.DebertaModel(config), "deberta")
    with pytest.raises(CheckpointError, match=r"has no queries, keys and values .*; set transfer\.relations to 0"):
        teacher.check_relations()


def test_a_trigram_teacher_embeds_words_alone() -> None:
    own = student()
    teacher = MobileBertTeacher(own)
    found = teacher.embedded_words(torch.tensor([7, 9]), 3)
    with torch.no_grad():
        alone = own.mobilebert.embeddings(torch.tensor([[7], [9]]), torch.zeros(2, 1, dtype=torch.long))
    assert found.shape == (2, 3, 16)
    assert torch.allclose(found[:, 0], alone, atol=1e-6)
    assert isinstance(teacher.backbone, MobileBertModel)
