/** Where a model, a vocabulary or a .wasm is: an address, a response, or its bytes. In Node, a string may be a path. */
export type Source = string | URL | Request | Response | Blob | ArrayBufferLike | Uint8Array;

/** The bytes of a download. `total` is null while it is unknown: without Content-Length, or if the server compresses. */
export interface Progress {
  loaded: number;
  total: number | null;
}

export interface LoadOptions {
  /** Stops the load, which then rejects with the signal's reason. */
  signal?: AbortSignal;
  /** Is called for each part of the model that has arrived. */
  onProgress?: (progress: Progress) => void;
  /**
   * Keeps the model in the Cache API, by address. A later load asks the server for its version (ETag, Last-Modified or
   * Content-Length), and fetches it again if it differs. Where there is no cache, or no room, the model is just fetched.
   */
  cache?: boolean;
  /** Threads of a run, 1 by default. More need SharedArrayBuffer: in a page, cross-origin isolation. */
  threads?: number;
  /** The folder of the .wasm files, if it is not that of the package. It ends with a slash. */
  wasm?: string | URL;
  /** Whether relaxed SIMD may be used, where the engine has it; true by default. */
  relaxed?: boolean;
  /** For `fill`: vocab.txt, or its lines. By default it is looked for beside the model, and one folder up, and cached with it. */
  vocabulary?: Source | readonly string[];
}

/** A multidimensional array, row by row. int64 is a BigInt64Array, bool a Uint8Array. */
export interface Tensor {
  type: "float32" | "uint8" | "int32" | "int64" | "bool";
  dims: number[];
  data: Float32Array | Uint8Array | Int32Array | BigInt64Array;
}

/** An input of `run`; its type is the one that the model declares. */
export interface InputTensor {
  dims: readonly number[];
  data: ArrayLike<number> | ArrayLike<bigint>;
}

/** An input or output of the graph. A dynamic size has a name in place of a number. */
export interface Port {
  name: string;
  type: Tensor["type"];
  shape: (number | string)[];
  /** Whether `run` does without it: it has a default. */
  optional?: boolean;
}

export interface Info {
  /** The .wasm that was chosen, such as mbert-relaxed.wasm. */
  wasm: string;
  /** The instruction set of the kernels: wasm-simd128, wasm-relaxed or wasm-relaxed-unsigned. */
  instructionSet: string;
  /** The threads of a run. */
  threads: number;
  /** Why there are fewer threads than were asked for; null if there are not. */
  note: string | null;
  /** Whether the file came from the cache. */
  cached: boolean;
}

export type Task =
  | "question-answering"
  | "text-classification"
  | "token-classification"
  | "fill-mask"
  | "pretraining"
  | "multiple-choice"
  | "next-sentence-prediction"
  | "feature-extraction"
  | "sentence-similarity";

export interface RunOptions {
  /** Is looked at before each run, of which a list of texts has several. */
  signal?: AbortSignal;
}

export interface TextOptions extends RunOptions {
  /** The most tokens of a row, special ones included; by default, and at most, what the file was exported for. */
  max_seq_len?: number;
  /**
   * Of a list of texts, those that are computed in one run: 8 by default, 1 for `embed`. They are padded to the longest,
   * which changes the results of a few models; `mbert-onnx export` says of which.
   */
  batch?: number;
}

export interface WindowOptions extends TextOptions {
  /** Tokens that two windows of a long text share. */
  stride?: number;
}

export interface AnswerOptions extends WindowOptions {
  /** The number of answers, 1 by default. */
  top_k?: number;
  /** The most tokens of an answer, 15 by default. */
  max_answer_len?: number;
  /** Whether there may be an empty answer, for a context without one. */
  handle_impossible_answer?: boolean;
}

export interface ClassifyOptions<Text> extends TextOptions {
  /** The second text, for a file that reads pairs. */
  pair?: Text;
  /** The number of labels; by default all. */
  top_k?: number;
}

/** An answer, `context.slice(start, end)`, and its probability. Empty: the context has no answer. */
export interface Answer {
  answer: string;
  score: number;
  start: number;
  end: number;
}

export interface LabelScore {
  label: string;
  score: number;
}

/** The best label, and all, best first. `truncated`: the text was longer than the model reads. */
export interface Classification extends LabelScore {
  labels: LabelScore[];
  truncated: boolean;
}

/** Adjacent tokens with one label: their text, `text.slice(start, end)`, and the mean of their probabilities. */
export interface Entity {
  entity_group: string;
  score: number;
  word: string;
  start: number;
  end: number;
}

/** A token whose label is not `O`. `index` is its place in the text's tokens; [CLS] has 0. */
export interface TokenEntity {
  entity: string;
  score: number;
  index: number;
  word: string;
  start: number;
  end: number;
}

/** A token for a mask: its probability, id and text, and the whole text with it. */
export interface FilledToken {
  score: number;
  token: number;
  token_str: string;
  sequence: string;
}

/** A mask, at `text.slice(start, end)`, and the tokens for it, best first. */
export interface FilledMask {
  start: number;
  end: number;
  tokens: FilledToken[];
}

/** The probabilities that the second text follows the first, and that it does not. */
export interface NextSentence {
  is_next: number;
  not_next: number;
  truncated: boolean;
}

export interface ChoiceScore {
  index: number;
  choice: string;
  score: number;
}

/** The best choice, and all, best first. */
export interface Choices {
  choice: string;
  choices: ChoiceScore[];
  truncated: boolean;
}

/** Token ids: one list for each row, or {dims, data}. */
export type TokenIds = number[][] | number[][][] | InputTensor;

/**
 * A loaded model. Offsets are those of JavaScript's strings, in UTF-16 units. Methods with a text take a list of texts,
 * too, and then return a list of results; they compute on the thread that calls them. Where a file of fixed length cuts a
 * text, and the result has no `truncated`, `console.warn` says so, but for `embed`.
 */
export interface Model {
  /** The task; null if the file does not say it. */
  readonly task: Task | null;
  /** The names of labels by their numbers; empty for a file on token ids. */
  readonly labels: string[];
  readonly inputs: Port[];
  readonly outputs: Port[];
  /** The metadata of the file. */
  readonly metadata: Record<string, string>;
  readonly info: Info;
  /** Bytes of memory that are in use; 0 after `dispose`. */
  readonly memory: number;

  answer(question: string, context: string, options?: AnswerOptions): Promise<Answer[]>;
  answer(
    question: string | readonly string[],
    context: string | readonly string[],
    options?: AnswerOptions,
  ): Promise<Answer[][]>;
  classify(text: string, options?: ClassifyOptions<string>): Promise<Classification>;
  classify(text: readonly string[], options?: ClassifyOptions<string | readonly string[]>): Promise<Classification[]>;
  tag(text: string, options?: WindowOptions & { aggregation?: "simple" }): Promise<Entity[]>;
  tag(text: readonly string[], options?: WindowOptions & { aggregation?: "simple" }): Promise<Entity[][]>;
  tag(text: string, options: WindowOptions & { aggregation: "none" }): Promise<TokenEntity[]>;
  tag(text: readonly string[], options: WindowOptions & { aggregation: "none" }): Promise<TokenEntity[][]>;
  classify(
    text: string | readonly string[],
    options?: ClassifyOptions<string | readonly string[]>,
  ): Promise<Classification | Classification[]>;
  tag(
    text: string | readonly string[],
    options?: WindowOptions & { aggregation?: "simple" | "none" },
  ): Promise<Entity[] | TokenEntity[] | Entity[][] | TokenEntity[][]>;
  fill(text: string, options?: WindowOptions & { top_k?: number }): Promise<FilledMask[]>;
  fill(text: readonly string[], options?: WindowOptions & { top_k?: number }): Promise<FilledMask[][]>;
  embed(text: string, options?: WindowOptions & { normalize?: boolean }): Promise<Float32Array>;
  embed(text: readonly string[], options?: WindowOptions & { normalize?: boolean }): Promise<Float32Array[]>;
  nextSentence(text: string, pair: string, options?: TextOptions): Promise<NextSentence>;
  nextSentence(
    text: string | readonly string[],
    pair: string | readonly string[],
    options?: TextOptions,
  ): Promise<NextSentence[]>;
  choose(prompt: string, choices: readonly string[], options?: TextOptions): Promise<Choices>;
  choose(prompt: readonly string[], choices: readonly string[], options?: TextOptions): Promise<Choices[]>;

  /** The outputs for token ids, of a file that is no text file. Default of the mask: ones; of the types: zeros. */
  logits(
    inputs: { input_ids: TokenIds; attention_mask?: TokenIds; token_type_ids?: TokenIds },
    options?: RunOptions,
  ): Promise<Record<string, Tensor>>;

  /** The outputs of the graph for its inputs, whatever they are. Inputs with a default may be left out. */
  run(inputs: Record<string, InputTensor>, options?: RunOptions): Promise<Record<string, Tensor>>;

  /** Returns the model's memory. Afterwards, its methods reject. */
  dispose(): void;
}

/** Loads a model that `mbert-onnx export` or `optimize` wrote: a text file, or a file on token ids. */
export function load(source: Source, options?: LoadOptions): Promise<Model>;
