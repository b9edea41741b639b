"""Pre-training of a teacher or a student on masked words and next sentences (`mbert-onnx pretrain`)."""

from __future__ import annotations

from pathlib import Path

from mbert_onnx.text.tasks import PRETRAINING
from mbert_onnx.training.distillation.loss import ObjectiveWeights, StageLoss
from mbert_onnx.training.distillation.strategies import stages_of
from mbert_onnx.training.inputs.corpus_rows import masking, pad_id_of, prepare_corpus
from mbert_onnx.training.inputs.models import check_rows, pretraining_model
from mbert_onnx.training.loop.run_folder import Run
from mbert_onnx.training.loop.schedule import opened, train_stages
from mbert_onnx.training.loop.stage import TrainingStage, accelerator_for
from mbert_onnx.training.progress import TrainingProgress, no_progress
from mbert_onnx.training.recipe import PretrainRecipe, read_recipe


def pretrain(recipe: str | Path, *, overwrite: bool = False, tell: TrainingProgress = no_progress) -> Path:
    """Pre-trains a model as BERT is pre-trained; resumes an unfinished run of the same recipe.

    Args:
        recipe: TOML file with the keys of `PretrainRecipe`.
        overwrite: Replace an existing run in the output folder.
        tell: Progress callback, called with stage name, step, number of steps, and mean losses.

    Returns the folder of the trained model. Raises UsageError for an invalid recipe, DataError for texts that cannot be
    read, CheckpointError for a checkpoint that does not fit, TrainingError for a run that cannot start or continue.
    """
    path = Path(recipe)
    read = read_recipe(path, PretrainRecipe)
    accelerator = accelerator_for(read.training)
    run = Run(read.output)
    with opened(run, path, accelerator, overwrite=overwrite):
        encoder, rows = prepare_corpus(run.tokenizer, run.rows, read.tokenizer, read.data, accelerator, read.seed)
        model = pretraining_model(read.model, "model", vocabulary=encoder.tokenizer.get_vocab(), seed=read.seed)
        check_rows(model, "model", max_length=read.data.max_length, pairs=read.data.next_sentence)
        [stage] = stages_of(
            "none",
            layers=model.config.num_hidden_layers,
            transfer_steps=0,
            distillation_steps=read.training.steps,
            next_sentence=read.data.next_sentence,
        )
        train_stages(
            [stage.steps],
            lambda number: TrainingStage(
                number=number,
                name=stage.name,
                steps=stage.steps,
                module=StageLoss(model, None, stage, ObjectiveWeights()),
                rows=rows,
                collate=masking(encoder, pad_id_of(encoder), read.data),
                rate=stage.rate,
                learning_rate=read.training.learning_rate,
            ),
            accelerator=accelerator,
            table=read.training,
            run=run,
            seed=read.seed,
            progress=tell,
            model=model,
            task=PRETRAINING,
        )
    return run.model
