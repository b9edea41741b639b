// Inputs of a run, made from what a model describes.
#pragma once

#include "random.h"
#include "standalone/mbert_runtime.h"
#include "standalone/model/model.h"

// Sets inputs of a run. `is_usual`: sizes from 1 to 3, and numbers that are ids, masks and lengths; else any. Returns
// false where the model has an input that is too large for a trial.
bool set_inputs(MbertRun* run, const mbert::Model& model, bool is_usual, Random* random);
