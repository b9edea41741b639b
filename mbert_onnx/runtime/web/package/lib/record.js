// Record of a text file: its task, names and limits, from the metadata of the file.

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
  null: "logits",
};

/** The record; null for a file that takes token ids. */
export function recordOf({ text, labels = "[]", entities = "[]" }) {
  return text ? { ...JSON.parse(text), labels: JSON.parse(labels), entities: JSON.parse(entities) } : null;
}
