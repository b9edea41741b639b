// Not run here: TypeScript accepts it, with the types of onnxruntime-react-native 1.24.3. Shows the labels of a text.
// A text file of mbert-onnx takes UTF-8 bytes, so onnxruntime is all that it needs.
// <Classify model={path of model_text.onnx on the device} names={lines of labels.txt} />

import { InferenceSession, Tensor } from "onnxruntime-react-native";
import React, { useEffect, useState } from "react";
import { Text, TextInput, View } from "react-native";

async function classify(session: InferenceSession, text: string, names: string[]): Promise<string[]> {
  const bytes = new TextEncoder().encode(text);
  const { labels, scores } = await session.run({
    text: new Tensor("uint8", bytes, [bytes.length]),
    max_length: new Tensor("int64", BigInt64Array.of(512n), [1]),
  });
  const numbers = Array.from(labels.data as BigInt64Array, Number);
  return numbers.map((label, place) => `${(scores.data as Float32Array)[place].toFixed(4)} ${names[label]}`);
}

export function Classify({ model, names }: { model: string; names: string[] }) {
  const [session, setSession] = useState<InferenceSession>();
  const [lines, setLines] = useState(["Loading the model …"]);
  useEffect(() => {
    InferenceSession.create(model, { logSeverityLevel: 3 }).then(setSession, (error) => setLines([String(error)]));
  }, [model]);
  const show = async (text: string) => session && setLines(await classify(session, text, names));
  return (
    <View>
      <TextInput accessibilityLabel="Text" onSubmitEditing={(event) => show(event.nativeEvent.text)} />
      <Text>{lines.join("\n")}</Text>
    </View>
  );
}
