"""`pretrain`: a teacher, or any model here, learns words behind masks, and which sentence comes next."""

from __future__ import annotations

from pathlib import Path

from mbert_onnx.text.tasks import PRETRAINING
from mbert_onnx.training.distillation.loss import Transfer, Weights
from mbert_onnx.training.distillation.strategies import stages_of
from mbert_onnx.training.inputs.corpus_rows import corpus_rows, encoder_in, masking, pad_id_of, tokenizer_in
from mbert_onnx.training.inputs.models import check_rows, pretraining_model
from mbert_onnx.training.loop.run_folder import Run
from mbert_onnx.training.loop.schedule import opened, train_stages
from mbert_onnx.training.loop.stage import StageOfTraining, Tell, accelerator_for
from mbert_onnx.training.recipe import PretrainRecipe, read_recipe


def silent(_name: str, _step: int, _steps: int, _losses: dict[str, float]) -> None:
    """Tells nobody."""


def pretrain(recipe: str | Path, *, overwrite: bool = False, tell: Tell = silent) -> Path:
    """Trains a model as BERT is pre-trained; goes on where it was left, if it was begun.

    Args:
        recipe: A TOML file; `PretrainRecipe` has its keys.
        overwrite: Begin again where the run is there already.
        tell: Called with the stage's name, step, number of steps, and mean losses.

    Returns the folder of the trained model. Raises UsageError for a recipe that cannot be meant, DataError for texts
    that cannot be read, CheckpointError and TrainingError for what cannot be trained.
    """
    path = Path(recipe)
    read = read_recipe(path, PretrainRecipe)
    accelerator = accelerator_for(read.training)
    run = Run(read.output)
    with opened(run, path, accelerator, overwrite=overwrite):
        with accelerator.main_process_first():
            if accelerator.is_main_process:
                tokenizer_in(run.tokenizer, read.tokenizer, read.data, read.data.max_length)
            encoder = encoder_in(run.tokenizer, read.data.max_length)
            rows = corpus_rows(run.rows, read.data, encoder, read.seed)
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
            lambda number: StageOfTraining(
                number=number,
                name=stage.name,
                steps=stage.steps,
                module=Transfer(model, None, stage, Weights()),
                rows=rows,
                collate=masking(encoder, pad_id_of(encoder), read.data),
                rate=stage.rate,
                learning_rate=read.training.learning_rate,
            ),
            accelerator=accelerator,
            table=read.training,
            run=run,
            seed=read.seed,
            tell=tell,
            model=model,
            task=PRETRAINING,
        )
    return run.model
