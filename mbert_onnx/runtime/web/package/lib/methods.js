// Methods of a model by its task, which the metadata of a text file names.

/** The method of each task, and of a file that takes token ids. */
export const METHODS = {
  "question-answering": "answer",
  "text-classification": "classify",
  "token-classification": "tag",
  "fill-mask": "fill",
  pretraining: "fill",
  "multiple-choice": "choose",
  "next-sentence-prediction": "nextSentence",
  "feature-extraction": "embed",
  "sentence-similarity": "embed",
  null: "logits",
};
