"""What a recipe of distillation names: its student, its teacher, its stages, and the schedule of a dry run."""
