"""Student, teacher and stages of a recipe of distillation, and the schedule of a dry run."""
