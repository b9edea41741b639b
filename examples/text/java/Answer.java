// Not run here: compiled with the classes of onnxruntime-android 1.29. Prints the best answers to a question.
// A text file of mbert-onnx takes UTF-8 bytes, so onnxruntime is all that it needs.
// java Answer BUNDLE "Who wrote it?" "It was written by Ada in 1843."

import static java.nio.charset.StandardCharsets.UTF_8;

import ai.onnxruntime.OnnxJavaType;
import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtLoggingLevel;
import ai.onnxruntime.OrtSession;
import java.nio.ByteBuffer;
import java.util.Map;

final class Answer {
  public static void main(String[] args) throws OrtException {
    OrtEnvironment env = OrtEnvironment.getEnvironment(OrtLoggingLevel.ORT_LOGGING_LEVEL_ERROR);
    byte[] context = args[2].getBytes(UTF_8);
    try (OrtSession session = env.createSession(args[0] + "/onnx/model_text.onnx");
        OnnxTensor text = tensor(env, args[1].getBytes(UTF_8));
        OnnxTensor contextTensor = tensor(env, context);
        OnnxTensor maxLength = OnnxTensor.createTensor(env, new long[] {384}); // a longer context is read in windows
        OrtSession.Result found =
            session.run(Map.of("text", text, "context", contextTensor, "max_length", maxLength))) {
      long[][] spans = ((long[][][]) found.get("spans").get().getValue())[0]; // bytes of the context, not characters
      float[] scores = ((float[][]) found.get("scores").get().getValue())[0];
      for (int i = 0; i < scores.length && scores[i] >= 0; i++) { // -1 behind the last answer
        int start = (int) spans[i][0], end = (int) spans[i][1];
        System.out.printf("%.4f %s%n", scores[i], new String(context, start, end - start, UTF_8));
      }
    }
  }

  private static OnnxTensor tensor(OrtEnvironment env, byte[] bytes) throws OrtException {
    return OnnxTensor.createTensor(env, ByteBuffer.wrap(bytes), new long[] {bytes.length}, OnnxJavaType.UINT8);
  }
}
